"""Banks of room impulse responses."""
