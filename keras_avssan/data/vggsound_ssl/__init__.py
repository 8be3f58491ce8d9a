"""VGGSound-SSL: building it from VGGSound, and reading what was built."""
