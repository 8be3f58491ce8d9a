"""Commands that report directions over time."""
