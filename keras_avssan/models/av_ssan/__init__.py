"""AV-SSAN: selective localisation by semantic-spatial alignment."""
