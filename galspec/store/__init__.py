"""Survey folders: catalogue, images, spectra and predictions on disk, read lazily."""
