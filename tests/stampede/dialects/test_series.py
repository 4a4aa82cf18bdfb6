from __future__ import annotations

import pytest

from stampede.dialects.series import Selector


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ("acme_messages_total", {}, True),
        ("acme_messages_total", {"type": "chat"}, True),
        ("acme_messages_total{}", {"type": "chat"}, True),
        ('acme_messages_total{type="chat"}', {"type": "chat", "pod": "a-1"}, True),
        ('acme_messages_total{type="chat",pod="a-1"}', {"type": "chat", "pod": "a-1"}, True),
        ('acme_messages_total{type="chat"}', {"type": "typing"}, False),
        ('acme_messages_total{type="chat"}', {}, False),
        ("acme_messages", {}, False),
    ],
)
def test_a_selector_takes_the_series_that_promql_takes(text: str, labels: dict[str, str], *, selected: bool) -> None:
    assert Selector.parse(text).matches("acme_messages_total", labels) == selected


@pytest.mark.parametrize("text", ["", "acme messages", "rate(acme[5m])", 'acme{type=~"a|b"}', 'acme{type="a"', "9acme"])
def test_an_expression_is_no_series(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a series such as acme_messages_total\{type="):
        Selector.parse(text)
