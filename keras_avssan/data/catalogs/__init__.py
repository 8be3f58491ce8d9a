"""Catalogs of clips and pictures by class."""
