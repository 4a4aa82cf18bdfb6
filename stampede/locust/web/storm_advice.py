"""How to make a storm, for the Storms tab, and why none can be made now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from locust import runners

from stampede.locust.web.templates import template

if TYPE_CHECKING:
    from stampede.locust.agents.master import MasterAgent

RUNNING: Final = (runners.STATE_SPAWNING, runners.STATE_RUNNING)
"""Locust's states in which a test runs."""


def storm_refusal(master: MasterAgent) -> str | None:
    """Return why no storm can be made now; None if one can."""
    if master.settings is None or master.state not in RUNNING:
        return "no test is running"
    if not master.has_chat_users:
        return "no user class of this test is a ChatUser: there are no connections to drop"
    if master.commands.is_watching:
        return "a watch is in progress: a storm would count as dropped by the server"
    return None


def storm_advice(master: MasterAgent) -> str:
    """Return how to make a storm as a section of HTML; nothing if there was one and another can be made."""
    return template("storm_advice.html").render(
        run=master.run,
        has_ended=master.has_ended,
        has_storms=bool(master.storms()),
        refusal=storm_refusal(master),
    )
