"""Emission lines and stellar indices of any spectrum on the project's grid: observed, reconstructed or predicted."""
