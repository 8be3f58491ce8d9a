"""A quick start: KerasHub without TensorFlow, weights that are loaded without being drawn."""
