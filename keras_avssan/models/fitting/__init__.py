"""Training, scoring and training records of localisers."""
