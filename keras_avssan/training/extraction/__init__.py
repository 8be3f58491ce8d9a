"""Training of the extractor of candidate directions, beyond the paper."""
