"""Files of the surveys, parsed: PS1 images and SDSS spectra in, arrays in the project's units out."""
