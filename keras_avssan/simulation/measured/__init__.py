"""Measured impulse responses, read from files."""
