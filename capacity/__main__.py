"""`python -m capacity`: find how many users a server holds within its SLOs, and its bottleneck."""

from __future__ import annotations

import sys

from capacity.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
