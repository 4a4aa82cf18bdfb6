"""The answer of a run, as `report.json` keeps it."""

from __future__ import annotations

import re

import msgspec

from capacity.formatting import format_confirmation


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Measured and projected figures never share a field.

    Attributes:
        supported_users: highest level that met every SLO; None if none did.
        first_failing_users: lowest level that failed; None if none did.
        generator_limited_at: lowest level at which the load generator, not the server, was the limit.
        limited_by: the cause, or the first symptom if no cause is known; `evidence` quotes the figures.
        bottleneck: the cause with its figures, or what was observed instead; never a symptom. None without a level that
            failed.
        bottleneck_observable: whether the server's CPU and memory were measured, so that it can be named.
        confirmed: whether `supported_users` passed `confirmations` more times; it passed `passes` times in total.
        projected_users: users at which a line through the server's CPU fills its core, with its 95 % interval.
        projection_missing: why there is no projection, though no level failed.
        confirm_with: command that would measure further, if an option helps; `confirm_needs`: the addition that it
            makes.
        disturbance: other use of the server's core during the run; None if it was insignificant.
        ending: why the search ended.
        scenario: the user classes and their weights; `dialect`: name of the server's protocol.
    """

    supported_users: int | None
    first_failing_users: int | None
    generator_limited_at: int | None
    limited_by: str | None
    evidence: list[str]
    confirmed: bool
    projected_users: int | None
    projected_low: int | None
    projected_high: int | None
    projection_warning: str | None
    confirm_with: str | None
    disturbance: str | None
    ending: str
    sentence: str
    headline: str
    headline_label: str
    confirm_needs: str | None = None
    projection_missing: str | None = None
    passes: int = 0
    confirmations: int = 0
    bottleneck: str | None = None
    bottleneck_observable: bool = False
    scenario: str = ""
    dialect: str = ""

    @property
    def bottleneck_name(self) -> str | None:
        """The bottleneck in a few words, such as `server CPU` or `not observable`; None if no level failed."""
        if self.bottleneck is None:
            return self.limited_by  # of an earlier version
        return re.split(r" \(|: |; ", self.bottleneck)[0]

    @property
    def confirmation(self) -> str:
        """How often `supported_users` was confirmed, as text."""
        return "confirmed" if self.confirmed else format_confirmation(self.passes, self.confirmations)
