"""The commands `build …`, which make and check data."""
