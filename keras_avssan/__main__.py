"""`python -m keras_avssan`."""

import sys

from keras_avssan.cli import main

if __name__ == "__main__":
    sys.exit(main())
