"""What a load test found: the numbers, the latency on both clocks, the ledger."""

from __future__ import annotations

from grafana.common import (
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
    About,
    Panel,
    Series,
    Steps,
    grid,
    heat,
    lines,
    number,
)
from grafana.promql import buckets, gained, gauge, quantile, quantile_of_all, rate

_DELIVERY = "loadtest_delivery_duration_seconds"
_RESYNC = "loadtest_resync_duration_seconds"
_REQUEST = ("method", "name")


def numbers() -> tuple[Panel, ...]:
    """Return the run in eight numbers."""
    failed = f"{gained('locust_request_failures_total')} / ({gained('locust_requests_total')} > 0)"
    return (
        number(
            "Users",
            About("Simulated users now.", "Fewer than asked for: the generator cannot start them, or they failed.",
                  "See *Users and connections*."),
            COUNT, f"sum({gauge('locust_users')})",
        ),
        number(
            "Delivered",
            About("Deliveries that the users received each second.", "A fall while users stay.",
                  "See *Deliveries*: expected, received and what the server says it wrote."),
            MESSAGES, rate("loadtest_deliveries_total"),
        ),
        number(
            "Delivery p99",
            About(
                "From the moment a message was meant to be sent until a room mate had it; 99 of 100 are faster.",
                "Above 250 ms, the usual service level.",
                "First make sure that *Sends late p99* is low: else the generator, not the server, was late.",
            ),
            SECONDS, quantile(0.99, _DELIVERY, clock="intended"), steps=Steps(0.1, 0.25),
        ),
        number(
            "Lost",
            About(
                "Deliveries missing from a sender's sequence, over the time shown.",
                "Anything above 0. A message that never came is in no latency.",
                "Compare with *Messages refused or dropped* of the server: it counts what it drops, and why.",
            ),
            COUNT, gained("loadtest_deliveries_lost_total"), steps=Steps(None, 1), instant=True,
        ),
        number(
            "Resync p95",
            About(
                "From the drop of a connection until the user is back in its room and hears again.",
                "Above 5 s users reload the page, and make it worse.",
                "See *Handshakes refused*, and the policy of `--backoff`.",
            ),
            SECONDS, quantile(0.95, _RESYNC), steps=Steps(2.5, 5),
        ),
        number(
            "Requests failed",
            About("Share of Locust's requests that failed, over the time shown.", "Above 1 %.",
                  "The table *Requests* says which; Locust's own page says why."),
            SHARE, failed, steps=Steps(0.001, 0.01), instant=True,
        ),
        number(
            "Thresholds missed",
            About(
                "Service levels, given by `--threshold`, that a window of this test has missed.",
                "Anything above 0: the test has failed, whatever comes later.",
                "Locust's summary names them; find the moment in *Latency* below.",
            ),
            COUNT, f"sum({gauge('loadtest_thresholds_failed')})", steps=Steps(None, 1),
        ),
        number(
            "Run invalid",
            About(
                "1 once the generator itself was the limit, or a worker died, in this test.",
                "1: what is measured is not the server.",
                "See *Who is the limit?*: more workers, or machines, or fewer users in each.",
            ),
            COUNT, f"max({gauge('loadtest_invalid')})", steps=Steps(None, 1),
        ),
    )  # fmt: skip


def load() -> tuple[Panel, ...]:
    """Return what was offered and what arrived, on both sides."""
    return (
        lines(
            "Users and connections",
            About(
                "Users asked for and running, and open connections as both sides count them.",
                "The two sides apart: connections that one of them has given up. A notch: a storm.",
                "In a storm watch how fast the notch fills; else see *Connections ended*.",
            ),
            COUNT,
            Series(f"sum({gauge('chat_connections')})", "connections (server)", color=GREEN),
            Series(f"sum({gauge('loadtest_connections')})", "connections (generator)", color=BLUE, dashed=True),
            Series(f"sum({gauge('locust_users')})", "users", color=ORANGE),
            Series(f"sum({gauge('locust_users_target')})", "users asked for", color=GREY, dashed=True),
            width=6,
        ),
        lines(
            "Messages offered",
            About(
                "Chat messages that were due, those sent, and those that could not be sent.",
                "Sent below due: the offered load is less than asked for. Skipped: their sender was not connected.",
                "In a storm that is expected; else see *Who is the limit?*.",
            ),
            MESSAGES,
            Series(rate("loadtest_messages_due_total"), "due", color=GREY, dashed=True),
            Series(rate("loadtest_messages_sent_total"), "sent", color=GREEN),
            Series(rate("loadtest_messages_skipped_total"), "skipped", color=RED),
            width=6,
        ),
        lines(
            "Deliveries",
            About(
                "Chat messages that room mates should get, did get, and that the server says it wrote to them.",
                "Received below expected; written well above received: they wait in buffers on the way.",
                "Below expected for good is loss: see the ledger.",
            ),
            MESSAGES,
            Series(rate("chat_messages_delivered_total", type="chatMessage"), "written (server)", color=GREEN),
            Series(rate("loadtest_deliveries_expected_total"), "expected", color=GREY, dashed=True),
            Series(rate("loadtest_deliveries_total"), "received", color=BLUE),
            width=6,
        ),
        lines(
            "Ledger",
            About(
                "Deliveries lost, duplicated and out of order each second.",
                "Anything above 0.",
                "Lost in a storm is what was on its way to somebody who left; lost in quiet times is a fault.",
            ),
            MESSAGES,
            Series(rate("loadtest_deliveries_lost_total"), "lost", color=RED),
            Series(rate("loadtest_deliveries_duplicated_total"), "duplicated", color=ORANGE),
            Series(rate("loadtest_deliveries_reordered_total"), "out of order", color=BLUE),
            width=6,
        ),
    )  # fmt: skip


def latency() -> tuple[Panel, ...]:
    """Return delivery and resync times."""
    return (
        lines(
            "Delivery p99 on both clocks",
            About(
                "Delivery from the *intended* and from the *actual* send, beside the server's own fan-out.",
                "*Intended* above *sent*: the generator was late. *Sent* far above the server's fan-out: the time is "
                "lost on the way, in buffers or in the generator.",
                "Trust the run only while the two clocks agree.",
            ),
            SECONDS,
            Series(quantile(0.99, _DELIVERY, clock="intended"), "from the intended send", color=ORANGE),
            Series(quantile(0.99, _DELIVERY, clock="sent"), "from the actual send", color=BLUE, dashed=True),
            Series(quantile(0.99, "chat_fanout_duration_seconds"), "fan-out (server)", color=GREEN),
            steps=Steps(0.1, 0.25),
        ),
        heat(
            "Delivery times",
            About(
                "How many deliveries a second took how long, from the intended send.",
                "A column that reaches up: everybody waited at that moment. A second band: some always wait.",
                "Look at the same moment in *Event loop lag* of both sides.",
            ),
            SECONDS, buckets(_DELIVERY, clock="intended"), cells=MESSAGES,
        ),
        lines(
            "Time to resync",
            About(
                "From the drop of a connection until the user is back in its room and hears again.",
                "p95 above the dashed lines: users reload the page, and make it worse.",
                "See *Handshakes refused*, the policy of `--backoff`, and `--handshake-rate` of the server.",
            ),
            SECONDS,
            Series(quantile(0.95, _RESYNC), "p95", color=ORANGE),
            Series(quantile(0.5, _RESYNC), "p50", color=GREY),
            width=4, steps=Steps(2.5, 5),
        ),
        heat(
            "Times to resync",
            About(
                "How many users a second were back after how long.",
                "A tail far to the top: the last ones wait long, though most are back.",
                "The tail is what a policy without jitter, or a full server, looks like.",
            ),
            SECONDS, buckets(_RESYNC), width=4,
        ),
    )  # fmt: skip


def requests() -> tuple[Panel, ...]:
    """Return Locust's own table."""
    failed = f"{gained('locust_request_failures_total', by=_REQUEST)}"
    asked = f"{gained('locust_requests_total', by=_REQUEST)}"
    return (
        grid(
            "Requests",
            About(
                "Locust's own statistics over the time shown.",
                "Failures of any kind; a time far above the others.",
                "Locust's page names each failure.",
            ),
            COUNT,
            Series(asked, "requests"),
            Series(failed, "failed"),
            Series(f"{failed} / ({asked} > 0)", "share failed"),
            Series(quantile_of_all(0.5, "locust_request_duration_seconds", by=_REQUEST), "p50"),
            Series(quantile_of_all(0.99, "locust_request_duration_seconds", by=_REQUEST), "p99"),
            units={"share failed": SHARE, "p50": SECONDS, "p99": SECONDS},
            width=14, hidden=("method",),
        ),
        lines(
            "Requests and failures",
            About(
                "Requests of Locust's table each second, by name, and all failures.",
                "Failures; a name that falls to 0.",
                "The table beside this says which failed.",
            ),
            REQUESTS,
            Series(rate("locust_requests_total", by=("name",)), "{{name}}"),
            Series(rate("locust_request_failures_total"), "failures", color=RED),
            width=10,
        ),
    )  # fmt: skip
