"""Stored results, printed by one command."""
