"""The command line, `keras-avssan`."""
