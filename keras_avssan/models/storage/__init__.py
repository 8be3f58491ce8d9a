"""Presets: packaged ones by name, half precision, fingerprints of frozen encoders."""
