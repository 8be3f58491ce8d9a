"""Checks of folders, near duplicates, splits that share recordings."""
