"""Shows the load test's options in `locust --help`.

Locust 2.47 answers `--help` before it loads any locustfile (locust.argument_parser.parse_locustfile_option). The one
thing it imports earlier, for exactly this purpose, is a package of that name (locust.main).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locust import events

from stampede.locust.options import add_arguments

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser


def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    add_arguments(parser)


def _register(on: Any) -> None:
    on.init_command_line_parser.add_listener(_on_parser)


_register(events)
