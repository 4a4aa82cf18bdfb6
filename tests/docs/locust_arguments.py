"""Parse command lines of Locust as Locust does, with the options of the load test: JSON lists on stdin, one a line."""

from __future__ import annotations

import json
import sys

from stampede.locust.options import add_arguments


def main() -> None:
    """Exit with 2 at the first command line that Locust would refuse."""
    from locust.argument_parser import get_parser  # noqa: PLC0415 - only this process may import Locust

    parser = get_parser(default_config_files=[])
    add_arguments(parser)
    for line in sys.stdin:
        parser.parse_args(json.loads(line))


if __name__ == "__main__":
    main()
