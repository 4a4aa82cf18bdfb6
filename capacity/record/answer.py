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
        limited_by: the cause, or the first symptom if no cause is known.
        evidence: the figures of `limited_by`, one sentence each.
        confirmed: whether `supported_users` passed `confirmations` more times.
        projected_users: users at which a line through the server's CPU fills its core.
        projected_low, projected_high: ends of the 95 % interval of `projected_users`; None for an end that it lacks.
        projection_warning: why the projection is doubtful, such as a poor fit.
        confirm_with: command that would measure further, if an option helps.
        disturbance: other use of the server's core during the run; None if it was insignificant.
        ending: why the search ended, such as `converged` or `budget spent`.
        sentence: the answer in full, as the terminal shows it.
        headline: the number of users in digits, such as `800` or `≥ 800`.
        headline_label: what the number counts, and how sure it is.
        confirm_needs: what `confirm_with` adds, such as 'with more time'.
        projection_missing: why there is no projection, though no level failed.
        passes: how often `supported_users` passed in total.
        confirmations: how many more times it has to pass.
        bottleneck: the cause with its figures, or what was observed instead; never a symptom. None without a level that
            failed.
        bottleneck_observable: whether the server's CPU and memory were measured, so that it can be named.
        scenario: the user classes and their weights.
        dialect: name of the server's protocol.
        promise: the SLOs in words, such as '99 of 100 messages arrive within a quarter of a second'.
        certainty: how sure the answer is: the interval, and how often its ends were measured.
        stop: why the run ended there.
        stop_kind: the cause of that in standard terms, such as `server CPU` or `load generator`.
        next_steps: what to do next.
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
    promise: list[str] = []
    certainty: str = ""
    stop: str = ""
    stop_kind: str = ""
    next_steps: list[str] = []

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
