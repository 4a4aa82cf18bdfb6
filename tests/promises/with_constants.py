"""Run the server with other values of module constants, such as shorter timeouts.

python -m tests.promises.with_constants server.http.connection.HANDSHAKE_SECONDS=2 -- [settings]
"""

from __future__ import annotations

import importlib
import os
import sys

from server.app import run
from server.settings import parse


def main() -> int:
    """Set the constants, then serve."""
    divide = sys.argv.index("--")
    for assignment in sys.argv[1:divide]:
        place, _, value = assignment.partition("=")
        module, _, name = place.rpartition(".")
        constants = vars(importlib.import_module(module))
        constants[name] = type(constants[name])(value)
    settings = sys.argv[divide + 1 :]
    return run(parse(settings, os.environ), settings)


if __name__ == "__main__":
    sys.exit(main())
