"""The simulated survey: galaxies with a spectrum, an image and a known truth, from one seed."""
