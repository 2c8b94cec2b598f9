"""Networks, the VAE and bundles: torch modules without files, devices or printing, and the one loadable format."""
