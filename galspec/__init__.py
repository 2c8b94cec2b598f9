"""galspec: predict galaxy spectra from five-band images (Wu & Peek 2020)."""

__version__ = "0.1.0"
