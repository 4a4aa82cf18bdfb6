from __future__ import annotations

import pytest

from capacity.config.scenario import Scenario


@pytest.mark.parametrize(
    ("scenario", "name", "words"),
    [
        (Scenario(None, {"ChattingUser": 1}), "ChattingUser=1", "chatting users"),
        (Scenario(None, {"OwnUser": 1}), "OwnUser=1", "OwnUser users"),
        (
            Scenario(None, {"ChattingUser": 3, "TypingUser": 1}),
            "ChattingUser=3,TypingUser=1",
            "users (3 ChattingUser : 1 TypingUser)",
        ),
        (Scenario("my/shop.py", {}), "shop.py", "users of shop.py"),
        (Scenario("my/shop.py", {"Buyer": 2, "Seller": 1}), "shop.py: Buyer=2,Seller=1",
         "users of shop.py: Buyer=2,Seller=1"),
        (Scenario("a: b=1.py", {"Buyer": 2}), "a: b=1.py: Buyer=2", "users of a: b=1.py: Buyer=2"),
    ],
)  # fmt: skip
def test_a_scenario_has_a_name_for_reports_and_words_for_people(scenario: Scenario, name: str, words: str) -> None:
    assert (scenario.name, scenario.words) == (name, words)
    read = Scenario.named(name)
    assert (read.name, read.words, read.mix) == (name, words, scenario.mix)
