"""YAMNet: front end, network, classes and embeddings."""
