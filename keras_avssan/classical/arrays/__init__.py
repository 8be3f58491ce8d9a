"""SRP-PHAT and MUSIC for arrays of any number of microphones."""
