"""`python -m server`."""

from __future__ import annotations

import os
import sys

from server.app import run
from server.settings import parse

if __name__ == "__main__":
    sys.exit(run(parse(sys.argv[1:], os.environ), sys.argv[1:]))
