"""Training of the VAE and of the networks: run folders, checkpoints, data; nothing is pickled."""
