"""VGGSound-SSL: building it from VGGSound, reading it, spatial clips of it."""
