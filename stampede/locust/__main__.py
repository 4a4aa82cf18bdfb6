"""Runs Locust with the options of the load test in its help.

    python -m stampede.locust --help

Locust 2.47 prints its help before it loads a locustfile, so `locust --help` cannot list the options that a locustfile
adds. All other arguments have the same effect as with `locust`.
"""

from __future__ import annotations

import sys
from typing import Any

from locust import events
from locust.main import main

from stampede.locust.options import add_arguments


def run(on: Any) -> None:
    """Add the options to Locust's parser and run Locust."""
    on.init_command_line_parser.add_listener(lambda parser, **_: add_arguments(parser))
    sys.argv[0] = "locust"  # the name in error messages
    main()  # type: ignore[no-untyped-call] # Locust does not annotate it


if __name__ == "__main__":
    run(events)
