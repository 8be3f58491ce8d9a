"""Models with trained weights that are installed with the library, a folder each.

Each folder is what `save_to_preset` writes, with the model card `MODEL_CARD.md` and `NOTICES.md`.
"""
