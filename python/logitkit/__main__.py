"""`python -m logitkit`: the same as the command `logitkit`."""

import sys

from logitkit._shell import main

if __name__ == "__main__":
    sys.exit(main())
