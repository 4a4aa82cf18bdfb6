"""SLOs in words, for readers who do not know their grammar."""

from __future__ import annotations

import re

import pytest

from capacity.config.promise import promise
from capacity.config.slo import DEFAULT_DRILL_SLOS, DEFAULT_SLOS, DEFAULT_STORM_SLOS
from tests.tables import rows

WORDS = {
    "deliver_p99<250ms": "99 of 100 messages arrive within a quarter of a second",
    "deliver_p50<100ms": "half of the messages arrive within a tenth of a second",
    "deliver_p90<=0.5s": "9 of 10 messages arrive within half a second",
    "deliver_p95<1s": "95 of 100 messages arrive within one second",
    "deliver_p99.9<300ms": "999 of 1 000 messages arrive within 0.3 seconds",
    "deliver_p99.95<50ms": "9 995 of 10 000 messages arrive within 50 milliseconds",
    "deliver_p99<2500us": "99 of 100 messages arrive within 2.5 milliseconds",
    "resync_p95<5s": "95 of 100 dropped users are back within 5 seconds",
    "loss<0.1%": "fewer than 1 of 1 000 messages is lost",
    "loss<=0%": "no message is lost",
    "loss<0.7%": "fewer than 7 of 1 000 messages are lost",
    "duplicates<=1%": "at most 1 of 100 messages arrives twice",
    "reordered<5%": "fewer than 1 of 20 messages arrives out of order",
    "divergent<=0%": "no member sees another order of messages",
    "errors<1%": "fewer than 1 of 100 requests fails",
    "look around:p99<200ms": "99 of 100 “look around” requests take at most 0.2 seconds",
    "search:max<1s": "all “search” requests take at most one second",
    "search:errors<=2%": "at most 1 of 50 “search” requests fails",
    "search:errors<=0%": "no “search” request fails",
    "fanout_p99<0.05": "fanout_p99<0.05",
}


@pytest.mark.parametrize("slo", WORDS)
def test_an_slo_in_words(slo: str) -> None:
    assert promise(slo) == WORDS[slo]


def test_every_figure_of_the_reference_has_words() -> None:
    figures = rows("docs/reference/load-test.md", "## Thresholds")
    names = [name for cell, _, _ in figures for name in re.findall(r"[\w:]+", cell.replace("any percentile", ""))]
    assert {"loss", "divergent", "NAME:max", "NAME:p99"} <= set(names)
    for name in names:
        text = f"{name}<1{'s' if re.search(r'_p|:p|:max', name) else '%'}"
        assert promise(text) != text


def test_the_defaults_have_words_without_a_sign_or_a_unit() -> None:
    for slo in {*DEFAULT_SLOS, *DEFAULT_STORM_SLOS, *DEFAULT_DRILL_SLOS}:
        assert re.fullmatch(r"[\w ]+", promise(slo))
