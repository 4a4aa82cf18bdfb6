"""`python -m capacity`: how many users one server process holds, and what gives out first."""

from __future__ import annotations

import sys

from capacity.cli.main import main

sys.exit(main(sys.argv[1:]))
