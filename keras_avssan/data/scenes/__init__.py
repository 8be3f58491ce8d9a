"""Scenes: planned, rendered, batched, written."""
