"""Encoders of words: any BERT as a sentence encoder, a stored table, and either with pictures."""
