"""Readers of recordings, pictures and videos."""
