"""Alignment of prompts and sounds on kept embeddings, before a localiser is trained."""
