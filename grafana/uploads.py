"""Files that clients send in chunks."""

from __future__ import annotations

from grafana.common import (
    BLUE,
    BYTES_PER_SECOND,
    COUNT,
    EVENTS,
    GREY,
    ORANGE,
    SECONDS,
    About,
    Panel,
    Series,
    heat,
    lines,
)
from grafana.promql import buckets, gauge, quantile, rate


def panels() -> tuple[Panel, ...]:
    """Return how many, how fast, how they end."""
    name = "chat_upload_duration_seconds"
    return (
        lines(
            "Uploads in progress",
            About(
                "Uploads in progress, by server.",
                "Near `--max-uploads` further ones are refused; a level that never falls: clients that stall.",
                "See how they end beside this; `idle` are those that stalled.",
            ),
            COUNT, Series(gauge("chat_uploads_active"), "{{instance}}"), width=6,
        ),
        lines(
            "Uploads ended",
            About(
                "Uploads that ended each second, by outcome, and stored files removed because their time was up.",
                "`failed`: the disk. `budget`: it is full of stored files. `limit`: too many at once.",
                "Free or add disk, or change `--upload-budget`, `--upload-keep` and `--max-uploads`.",
            ),
            EVENTS,
            Series(rate("chat_uploads_total", by=("outcome",)), "{{outcome}}"),
            Series(rate("chat_uploads_expired_total"), "stored files removed", dashed=True),
            width=6,
        ),
        lines(
            "Upload traffic",
            About(
                "Bytes of file content received each second.",
                "A plateau while uploads are in progress: disk or network is full.",
                "Look at the disk first: files are read from the network no faster than they are written.",
            ),
            BYTES_PER_SECOND, Series(rate("chat_upload_bytes_total"), "received"), width=4,
        ),
        lines(
            "Upload time",
            About(
                "From the announcement of a file until its upload ended, however it ended.",
                "p99 in minutes: slow clients hold their place among `--max-uploads`.",
                "Compare with the traffic: slow at low traffic is the client's network.",
            ),
            SECONDS,
            Series(quantile(0.99, name), "p99", color=ORANGE),
            Series(quantile(0.95, name), "p95", color=BLUE),
            Series(quantile(0.5, name), "p50", color=GREY),
            width=4,
        ),
        heat(
            "Upload times",
            About(
                "How many uploads a second took how long.",
                "A second band: files of another size, or clients of another network.",
                "Compare with the outcome at the same moment.",
            ),
            SECONDS, buckets(name), width=4,
        ),
    )  # fmt: skip
