"""Nouns and conventions: numpy, scipy and the standard library only."""
