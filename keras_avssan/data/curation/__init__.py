"""Curation of folders: damaged files, near duplicates, splits that share recordings."""
