"""Uploads and downloads: progress, outcome, traffic, duration."""

from __future__ import annotations

from grafana.panels import (
    BLUE,
    BYTES_PER_SECOND,
    COUNT,
    EVENTS,
    GREY,
    ORANGE,
    SECONDS,
    Description,
    Panel,
    Series,
    heatmap,
    timeseries,
)
from grafana.promql import buckets, gauge, quantile, rate


def panels() -> tuple[Panel, ...]:
    """Return the panels of uploads and downloads."""
    name = "chat_upload_duration_seconds"
    return (
        timeseries(
            "Uploads in progress",
            Description(
                "Uploads and downloads in progress, by server.",
                "Near `--max-uploads` new uploads are refused, near 64 new downloads. A constant level: stalled ones.",
                "See *Uploads ended*; `idle` counts stalled uploads.",
            ),
            COUNT,
            Series(gauge("chat_uploads_active"), "{{instance}}"),
            Series(gauge("chat_downloads_active"), "{{instance}} downloads", dashed=True),
            width=6,
        ),
        timeseries(
            "Uploads ended",
            Description(
                "Uploads and downloads ended per second, by outcome, and expired files that were removed.",
                "`failed`: a disk error. `budget`: stored files use up `--upload-budget`. `limit`: too many at once.",
                "Free or add disk space, or change `--upload-budget`, `--upload-keep` or `--max-uploads`.",
            ),
            EVENTS,
            Series(rate("chat_uploads_total", by=("outcome",)), "{{outcome}}"),
            Series(rate("chat_downloads_total", by=("outcome",)), "download {{outcome}}", dashed=True),
            Series(rate("chat_uploads_expired_total"), "expired files removed", dashed=True),
            width=6,
        ),
        timeseries(
            "Upload traffic",
            Description(
                "Bytes of file content received and sent per second.",
                "A plateau during uploads: the disk or the network is saturated.",
                "Check the disk first: the server reads uploads only as fast as it writes them.",
            ),
            BYTES_PER_SECOND,
            Series(rate("chat_upload_bytes_total"), "received"),
            Series(rate("chat_download_bytes_total"), "sent"),
            width=4,
        ),
        timeseries(
            "Upload time",
            Description(
                "Time from `fileStart` to the end of the upload, whatever its outcome.",
                "p99 in minutes: slow clients occupy places of `--max-uploads`.",
                "Compare with *Upload traffic*: slow uploads at low traffic point to the clients' network.",
            ),
            SECONDS,
            Series(quantile(0.99, name), "p99", color=ORANGE),
            Series(quantile(0.95, name), "p95", color=BLUE),
            Series(quantile(0.5, name), "p50", color=GREY),
            width=4,
        ),
        heatmap(
            "Upload times",
            Description(
                "Uploads per second, by duration.",
                "A second band: files of another size, or clients in another network.",
                "Compare with *Uploads ended* at the same time.",
            ),
            SECONDS,
            buckets(name),
            width=4,
        ),
    )
