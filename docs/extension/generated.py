"""The parts of reference pages that are generated from the code.

A page with the block

    ```{generated} options of the server
    ```

shows the tables that the function of this name returns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from docs.extension import codes, metric_tables, options, protocol, records

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK: Final = re.compile(r"^```\{generated\} ([^\n]+)\n```$", re.MULTILINE)

GENERATED: Final[dict[str, Callable[[], str]]] = {
    "options of the capacity run": options.capacity_run,
    "options of the drill": options.drill,
    "options of the load test": options.load_test,
    "options of the server": options.server,
    "load shapes": options.shapes,
    "user classes": options.user_classes,
    "exit codes of the capacity run": codes.capacity_run,
    "exit codes of the load test": codes.load_test,
    "metrics of the server": metric_tables.server,
    "metrics of a server on a bus": metric_tables.bus,
    "metrics of the parent of several processes": metric_tables.parent,
    "metrics of the load generator": metric_tables.load_generator,
    "alerts": metric_tables.alerts,
    "messages of clients": protocol.client_messages,
    "messages of the server": protocol.server_messages,
    "errors": protocol.errors,
    "close codes": protocol.close_codes,
    "refused tokens": protocol.token_faults,
    "fields of report.json": records.report,
}


def insert_generated(text: str) -> str:
    """Replace the blocks of a page by what they name.

    Raises:
        ValueError: a block names nothing that can be generated.
    """

    def generate(match: re.Match[str]) -> str:
        if match[1] not in GENERATED:
            raise ValueError(f"{{generated}} {match[1]}: unknown; known are {', '.join(GENERATED)}")
        return GENERATED[match[1]]()

    return _BLOCK.sub(generate, text)
