"""The image-source method for shoebox rooms."""
