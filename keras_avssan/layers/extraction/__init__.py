"""Extraction of the source at a direction, whatever its class, and what follows from it."""
