"""What there is to hear and to see, by class."""
