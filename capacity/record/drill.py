"""A drill, as `report.json` keeps it."""

from __future__ import annotations

import msgspec

from capacity.record.step import Cause, Verdict


class DrillSecond(msgspec.Struct, frozen=True, kw_only=True):
    """About one second of a drill.

    Attributes:
        at_s: its end, in seconds since the command started; negative before that.
        ready: users in their rooms.
        p99_ms: delivery latency from the intended send time, of all users; None without a delivery.
        as_before: whether all users were back and latency was as before the command.
    """

    at_s: float
    ready: int
    p99_ms: float | None
    as_before: bool


class DrillRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did to the users.

    An *outage* of a user lasts from the loss of its connection until its first delivery after it. All times are in
    seconds since the command started, except those of an outage.

    Attributes:
        verdict, reasons, signals, causes: as in a step.
        users: users in their rooms before the command.
        dropped: users whose connection the server closed, or whose connection failed; each counts once.
        resynced: dropped users whose outages have all ended.
        gone: outages that ended without a resync, since the load test dropped the user itself.
        outages: outages of the dropped users, who may have several.
        lost_connections: closed and failed connections, also those within an outage.
        drop_causes: the lost connections, counted by what ended them.
        resync_p50_seconds, resync_p95_seconds, resync_all_seconds: duration of the outages: median, 95th percentile and
            longest; None if too few have ended.
        reconnects: all reconnects.
        reconnects_busiest_second: reconnects in the busiest second.
        messages_missed: messages of room mates that dropped users did not get.
        messages_unsent: messages that users could not send.
        unaffected_p99_ms: delivery latency to users that had not been dropped; None if all were.
        unaffected_lost: deliveries that are owed and never came, without those of outages.
        unaffected_lost_share: the same as a share of all.
        before_p99_ms: delivery latency before the command.
        limit_ms: the latency that counts as before.
        first_drop_seconds, last_drop_seconds: when the first and the last connection was lost.
        recovered_seconds: the last moment that was not as before, 0 if all was; None if the end was not as before.
        command: the command.
        command_exit_code: as a shell shows it; None if the command did not end by itself.
        command_seconds: duration of the command.
        command_output: its last lines.
        seconds_begin: start of `lost_per_second` and `reconnects_per_second`; negative, as it lies before the command.
        lost_per_second, reconnects_per_second: lost connections and reconnects in each second.
        timeline: users and latency, second by second.
        figures: the value that each SLO was compared with, by the SLO's text; None if unknown.
    """

    verdict: Verdict
    reasons: list[str]
    signals: list[str]
    causes: list[Cause]
    users: int
    dropped: int
    resynced: int
    gone: int
    outages: int
    lost_connections: int
    drop_causes: dict[str, int]
    resync_p50_seconds: float | None
    resync_p95_seconds: float | None
    resync_all_seconds: float | None
    reconnects: int
    reconnects_busiest_second: int
    messages_missed: int
    messages_unsent: int | None
    unaffected_p99_ms: float | None
    unaffected_lost: int | None
    unaffected_lost_share: float | None
    before_p99_ms: float | None
    limit_ms: float | None
    first_drop_seconds: float | None
    last_drop_seconds: float | None
    recovered_seconds: float | None
    command: str
    command_exit_code: int | None
    command_seconds: float | None
    command_output: list[str]
    seconds_begin: float
    lost_per_second: list[int]
    reconnects_per_second: list[int]
    timeline: list[DrillSecond]
    figures: dict[str, float | None]
