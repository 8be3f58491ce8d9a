"""STARSS23: recordings of real rooms with annotated events."""
