"""``python -m autohpo`` is the command ``autohpo``."""

import sys

from autohpo.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
