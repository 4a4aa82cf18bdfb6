"""Options of real runs that need no certain load: two users, one process of the load generator, the shortest window."""

from __future__ import annotations

USERS = "2"
QUICK = ("--room-size", "2", "--message-rate", "10", "--processes", "1", "--window", "1", "--settle", "1")
# For tests in which only noise could miss an SLO.
TOLERANT = (*QUICK, "--slo", "deliver_p99<60s")
