"""STARSS23: annotated recordings of real rooms, in segments, with prompts."""
