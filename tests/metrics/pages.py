"""Parse an exposition page in tests."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def series(page: bytes) -> dict[str, float]:
    """Return the value of each series of a text page; keys read `name{label="value"}`, labels sorted by name."""
    return {
        sample_key(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def sample_key(name: str, labels: dict[str, str]) -> str:
    """Return a series in PromQL notation."""
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
