"""Results of a load test: users, deliveries, latency, the delivery ledger, requests."""

from __future__ import annotations

from grafana.panels import (
    BLUE,
    COUNT,
    GREEN,
    GREY,
    MESSAGES,
    ORANGE,
    RED,
    REQUESTS,
    SECONDS,
    SHARE,
    Description,
    Panel,
    Series,
    Thresholds,
    heatmap,
    stat,
    table,
    timeseries,
)
from grafana.promql import buckets, gauge, increase, quantile, quantile_of_all, rate

_DELIVERY = "loadtest_delivery_duration_seconds"
_RESYNC = "loadtest_resync_duration_seconds"
_REQUEST = ("method", "name")


def numbers() -> tuple[Panel, ...]:
    """Return the row of the dialect and eight numbers."""
    failed = f"{increase('locust_request_failures_total')} / ({increase('locust_requests_total')} > 0)"
    return (
        stat(
            "Dialect",
            Description(
                "Protocol of the load test, as in `--dialect`.",
                "Another name than that of the server's protocol.",
                "See `python -m stampede dialects`.",
            ),
            COUNT,
            f"max by (dialect) ({gauge('loadtest_dialect_info')})",
            width=2,
            legend="{{dialect}}",
            instant=True,
            shows_name=True,
        ),
        stat(
            "Users",
            Description(
                "Virtual users that run now.",
                "Fewer than requested: the generator cannot start them, or they failed.",
                "See *Users and connections*.",
            ),
            COUNT,
            f"sum({gauge('locust_users')})",
            width=2,
        ),
        stat(
            "Delivered",
            Description(
                "Deliveries that the users received per second.",
                "A fall at a constant number of users.",
                "See *Deliveries*: expected, received, and written by the server.",
            ),
            MESSAGES,
            rate("loadtest_deliveries_total"),
        ),
        stat(
            "Delivery p99",
            Description(
                "99th percentile of the time from the intended send to the delivery to a room member.",
                "Above 250 ms, the usual service level objective.",
                "First check that the generator's send lag is low; otherwise the generator was late, not the server.",
            ),
            SECONDS,
            quantile(0.99, _DELIVERY, clock="intended"),
            thresholds=Thresholds(0.1, 0.25),
        ),
        stat(
            "Lost",
            Description(
                "Deliveries missing from a sender's sequence, over the displayed time range.",
                "Anything above 0. Lost messages do not appear in the latency.",
                "Compare with the server's *Messages refused or dropped*, which shows its drops by cause.",
            ),
            COUNT,
            increase("loadtest_deliveries_lost_total"),
            width=2,
            thresholds=Thresholds(None, 1),
            instant=True,
        ),
        stat(
            "Resync p95",
            Description(
                "Time from the drop of a connection until the user receives messages in its room again.",
                "Above 5 s users reload the page, which adds load.",
                "See *Handshakes refused*, and the `--backoff` option.",
            ),
            SECONDS,
            quantile(0.95, _RESYNC),
            thresholds=Thresholds(2.5, 5),
        ),
        stat(
            "Requests failed",
            Description(
                "Fraction of Locust's requests that failed, over the displayed time range.",
                "Above 1 %.",
                "The table *Requests* shows their names; Locust's web UI shows the errors.",
            ),
            SHARE,
            failed,
            thresholds=Thresholds(0.001, 0.01),
            instant=True,
        ),
        stat(
            "Thresholds missed",
            Description(
                "Thresholds (`--threshold`) that a window of this test missed.",
                "Anything above 0: the test failed, even if later windows pass.",
                "Locust's summary names the thresholds; find the time in *Latency* below.",
            ),
            COUNT,
            f"sum({gauge('loadtest_thresholds_failed')})",
            thresholds=Thresholds(None, 1),
        ),
        stat(
            "Run invalid",
            Description(
                "1 if the generator was the bottleneck, or a worker died, in this test.",
                "1: the results do not describe the server.",
                "See *Bottleneck*; use more workers or machines, or fewer users on each.",
            ),
            COUNT,
            f"max({gauge('loadtest_invalid')})",
            thresholds=Thresholds(None, 1),
        ),
    )


def load() -> tuple[Panel, ...]:
    """Return the panels of offered and received load, on both sides."""
    return (
        timeseries(
            "Users and connections",
            Description(
                "Requested and running users, and open connections as both sides count them.",
                "The two counts differ: one side counts connections that the other has closed. A short dip: a storm.",
                "In a storm check how fast the connections return; otherwise see *Connections ended*.",
            ),
            COUNT,
            Series(f"sum({gauge('chat_connections')})", "connections (server)", color=GREEN),
            Series(f"sum({gauge('loadtest_connections')})", "connections (generator)", color=BLUE, dashed=True),
            Series(f"sum({gauge('locust_users')})", "users", color=ORANGE),
            Series(f"sum({gauge('locust_users_target')})", "requested users", color=GREY, dashed=True),
            width=6,
        ),
        timeseries(
            "Messages offered",
            Description(
                "Chat messages that were due, sent, and skipped.",
                "Sent below due: the offered load is lower than requested. Skipped: the sender was not connected.",
                "In a storm this is expected; otherwise see *Bottleneck*.",
            ),
            MESSAGES,
            Series(rate("loadtest_messages_due_total"), "due", color=GREY, dashed=True),
            Series(rate("loadtest_messages_sent_total"), "sent", color=GREEN),
            Series(rate("loadtest_messages_skipped_total"), "skipped", color=RED),
            width=5,
        ),
        timeseries(
            "Deliveries",
            Description(
                "Deliveries expected by room members, received by them, and written by the server.",
                "Received below expected; written far above received: messages wait in buffers.",
                "Deliveries that never arrive are lost: see *Ledger*.",
            ),
            MESSAGES,
            Series(rate("chat_messages_delivered_total", type="chatMessage"), "written (server)", color=GREEN),
            Series(rate("loadtest_deliveries_expected_total"), "expected", color=GREY, dashed=True),
            Series(rate("loadtest_deliveries_total"), "received", color=BLUE),
            width=5,
        ),
        timeseries(
            "Ledger",
            Description(
                "Deliveries lost, duplicated and reordered per second.",
                "Anything above 0.",
                "Losses in a storm were in flight to a user that disconnected; other losses are a fault.",
            ),
            MESSAGES,
            Series(rate("loadtest_deliveries_lost_total"), "lost", color=RED),
            Series(rate("loadtest_deliveries_duplicated_total"), "duplicated", color=ORANGE),
            Series(rate("loadtest_deliveries_reordered_total"), "reordered", color=BLUE),
            width=4,
        ),
        timeseries(
            "Divergent members",
            Description(
                "Fraction of the sampled members that did not receive messages of different senders in the order of "
                "most members of their room. No value: nothing was compared.",
                "Anything above 0, if the users expect the same order; servers of several nodes often promise none.",
                "Compare with a run against one node.",
            ),
            SHARE,
            Series(
                f"{rate('loadtest_order_divergent_total')} / ({rate('loadtest_order_members_total')} > 0)",
                "divergent",
                color=ORANGE,
            ),
            width=4,
        ),
    )


def latency() -> tuple[Panel, ...]:
    """Return the panels of delivery and resync times."""
    return (
        timeseries(
            "Delivery p99 on both clocks",
            Description(
                "Delivery time from the *intended* and from the *actual* send, and the server's fan-out time.",
                "*Intended* above *actual*: the generator was late. *Actual* far above the server's fan-out: "
                "the time is "
                "spent in the network, in buffers or in the generator.",
                "Use the results only while the two agree.",
            ),
            SECONDS,
            Series(quantile(0.99, _DELIVERY, clock="intended"), "from the intended send", color=ORANGE),
            Series(quantile(0.99, _DELIVERY, clock="sent"), "from the actual send", color=BLUE, dashed=True),
            Series(quantile(0.99, "chat_fanout_duration_seconds"), "fan-out (server)", color=GREEN),
            thresholds=Thresholds(0.1, 0.25),
        ),
        heatmap(
            "Delivery times",
            Description(
                "Deliveries per second, by the time from the intended send.",
                "A high column: all deliveries at that time were slow. A second band: some deliveries are always slow.",
                "Compare with the loop lag of both sides at the same time.",
            ),
            SECONDS,
            buckets(_DELIVERY, clock="intended"),
            cells=MESSAGES,
        ),
        timeseries(
            "Time to resync",
            Description(
                "Time from the drop of a connection until the user receives messages in its room again.",
                "p95 above the dashed lines: users reload the page, which adds load.",
                "See *Handshakes refused*, the `--backoff` option, and `--handshake-rate` of the server.",
            ),
            SECONDS,
            Series(quantile(0.95, _RESYNC), "p95", color=ORANGE),
            Series(quantile(0.5, _RESYNC), "p50", color=GREY),
            width=4,
            thresholds=Thresholds(2.5, 5),
        ),
        heatmap(
            "Times to resync",
            Description(
                "Resynced users per second, by the time to resync.",
                "A long tail: the slowest users wait long after most have resynced.",
                "A tail points to a backoff without jitter, or to a full server.",
            ),
            SECONDS,
            buckets(_RESYNC),
            width=4,
        ),
    )


def requests() -> tuple[Panel, ...]:
    """Return the panels of Locust's request statistics."""
    failed = f"{increase('locust_request_failures_total', by=_REQUEST)}"
    asked = f"{increase('locust_requests_total', by=_REQUEST)}"
    return (
        table(
            "Requests",
            Description(
                "Locust's statistics over the displayed time range.",
                "Any failure, or a response time far above the others.",
                "Locust's web UI shows each error.",
            ),
            COUNT,
            Series(asked, "requests"),
            Series(failed, "failed"),
            Series(f"{failed} / ({asked} > 0)", "share failed"),
            Series(quantile_of_all(0.5, "locust_request_duration_seconds", by=_REQUEST), "p50"),
            Series(quantile_of_all(0.99, "locust_request_duration_seconds", by=_REQUEST), "p99"),
            units={"share failed": SHARE, "p50": SECONDS, "p99": SECONDS},
        ),
        timeseries(
            "Requests and failures",
            Description(
                "Locust's requests per second, by name, and all failures.",
                "Failures, or a name that falls to 0.",
                "The table *Requests* shows which failed. Select names with *Request* above.",
            ),
            REQUESTS,
            Series(rate("locust_requests_total", by=_REQUEST), "{{method}} {{name}}"),
            Series(rate("locust_request_failures_total"), "failures", color=RED),
            width=12,
        ),
        timeseries(
            "Response time p99",
            Description(
                "99th percentile of the response time of each name, failures of other clients included.",
                "A name that rises while the load is constant.",
                "Select it with *Request* above, and compare with the server's loop lag and CPU.",
            ),
            SECONDS,
            Series(quantile(0.99, "locust_request_duration_seconds", by=_REQUEST), "{{method}} {{name}}"),
            width=12,
        ),
    )
