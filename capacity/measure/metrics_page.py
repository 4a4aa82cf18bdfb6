"""Read the samples of a Prometheus metrics page. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

_NAME: Final = re.compile(r"^[a-zA-Z_:][\w:]*", re.ASCII | re.MULTILINE)
_TOTAL: Final = "_total"


def samples_of(page: str) -> Iterator[Sample]:
    """Yield the samples of a page under their own names.

    Raises:
        ValueError: the text is not a Prometheus exposition.
    """
    names = set(_NAME.findall(page))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            # The parser adds `_total` to the names of counters that do not end with it.
            yield sample if sample.name in names else sample._replace(name=sample.name.removesuffix(_TOTAL))
