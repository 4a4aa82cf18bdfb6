"""The catalog of the load generator's metrics: Locust's own with the prefix `locust_`, all others with `loadtest_`.

The label `name` has the names of requests: the built-in ones, the first `MAX_OWN_NAMES` of scenarios and other clients,
and `other` for all further ones.
"""

from __future__ import annotations

from typing import Final

from stampede.measure.drop_causes import DROP_CAUSES
from stampede.measure.storm_results import SHARES
from stampede.metrics.histogram_buckets import LATENCY_BOUNDS, RESYNC_BOUNDS
from stampede.metrics.metric import Label, counter, gauge, histogram

_METHOD: Final = Label("method")
_NAME: Final = Label("name")
_STATE: Final = Label("state")
_CLOCK: Final = Label("clock", ("intended", "sent"))
_WORKER: Final = Label("worker")
_CAUSE: Final = Label("cause", DROP_CAUSES)
_DIALECT: Final = Label("dialect")
_SENDER: Final = Label("sender")
_RECEIVER: Final = Label("receiver")
_SHARE: Final = Label("share", tuple(f"{share:g}" for share in SHARES))

GENERATOR: Final = (
    gauge("locust_test_running", "1 while a test spawns or runs, else 0."),
    gauge("locust_users", "Running users."),
    gauge("locust_users_target", "Requested users."),
    gauge("locust_workers", "Worker processes, by state.", _STATE),
    counter("locust_requests_total", "Requests in Locust's statistics, failures included.", _METHOD, _NAME),
    counter("locust_request_failures_total", "Failures in Locust's statistics.", _METHOD, _NAME),
    histogram(
        "locust_request_duration_seconds", LATENCY_BOUNDS, "Response times in Locust's statistics.", _METHOD, _NAME
    ),
    gauge("loadtest_dialect_info", "Always 1; the label is the dialect of this test.", _DIALECT),
    gauge("loadtest_connections", "Open WebSocket connections of the generator."),
    counter("loadtest_joins_unconfirmed_total", "Joins that count as successful without the server's confirmation."),
    counter("loadtest_messages_due_total", "Chat messages due so far."),
    counter("loadtest_messages_sent_total", "Due messages that were sent."),
    counter("loadtest_messages_skipped_total", "Due messages that could not be sent."),
    counter("loadtest_deliveries_expected_total", "Expected deliveries: the other members for each message sent."),
    counter("loadtest_deliveries_total", "Deliveries received."),
    counter("loadtest_deliveries_lost_total", "Deliveries missing from a sender's sequence."),
    counter("loadtest_deliveries_duplicated_total", "Deliveries received more than once."),
    counter("loadtest_deliveries_reordered_total", "Deliveries received after a later one of the same sender."),
    counter(
        "loadtest_address_deliveries_total",
        "Deliveries received, by the addresses of sender and receiver; none while all users are at one address.",
        _SENDER,
        _RECEIVER,
    ),
    counter(
        "loadtest_address_deliveries_lost_total",
        "Deliveries lost, by the addresses of sender and receiver.",
        _SENDER,
        _RECEIVER,
    ),
    counter("loadtest_order_members_total", "Sampled members whose order of messages was compared."),
    counter(
        "loadtest_order_divergent_total", "Compared members whose order was not that of most members of their room."
    ),
    histogram(
        "loadtest_delivery_duration_seconds",
        LATENCY_BOUNDS,
        "Delivery time on both clocks.",
        _CLOCK,
    ),
    histogram("loadtest_send_lag_seconds", LATENCY_BOUNDS, "Lateness of sends in the generator."),
    histogram("loadtest_loop_lag_seconds", LATENCY_BOUNDS, "Lateness of a periodic timer in the generator."),
    histogram(
        "loadtest_resync_duration_seconds",
        RESYNC_BOUNDS,
        "Time from a drop to the resync.",
    ),
    counter("loadtest_drops_total", "Connections dropped on purpose, by cause.", _CAUSE),
    counter("loadtest_storms_total", "Storms on command."),
    gauge("loadtest_storm_dropped", "Users that the last storm on command dropped."),
    gauge("loadtest_storm_resynced", "Users of the last storm on command that have resynced."),
    gauge("loadtest_storm_resync_seconds", "Time until a share of its users had resynced; NaN before.", _SHARE),
    gauge("loadtest_storm_peak_accepts", "Reconnects in the storm's busiest second."),
    gauge("loadtest_storm_unaffected_seconds", "p99 delivery time of unaffected users; NaN without any."),
    gauge("loadtest_storm_missed_messages", "Messages that the storm's dropped users missed."),
    gauge("loadtest_invalid", "1 if the generator was the bottleneck, or a worker died, in this test."),
    gauge("loadtest_thresholds_failed", "Thresholds that a window of this test missed."),
    gauge("loadtest_worker_users", "Users of one process; a dead process has no series.", _WORKER),
    counter("loadtest_worker_cpu_seconds_total", "CPU used by one process.", _WORKER),
    gauge("loadtest_worker_resident_memory_bytes", "Memory of one process.", _WORKER),
    gauge("loadtest_worker_report_age_seconds", "Time since the last report of one process.", _WORKER),
    histogram("loadtest_worker_loop_lag_seconds", LATENCY_BOUNDS, "Loop lag of one process.", _WORKER),
    histogram("loadtest_worker_send_lag_seconds", LATENCY_BOUNDS, "Send lag of one process.", _WORKER),
)

CATALOG: Final = {metric.name: metric for metric in GENERATOR}
