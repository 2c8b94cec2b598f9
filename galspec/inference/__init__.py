"""From images to predicted spectra, and to files that the field's tools open."""
