"""VGGish: front end, network and whitening."""
