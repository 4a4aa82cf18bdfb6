"""The sections of the report page below the answer, in their order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.glossary import terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.record.report import RunReport
    from capacity.report.charts import Chart
    from stampede.glossary import Term


@dataclass(frozen=True, slots=True)
class Page:
    """What the report page shows."""

    report: RunReport
    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        key: its anchor; its template is `sections/KEY.html.j2`.
        title: its heading.
        is_shown: whether a page has it.
        terms: of the glossary that it uses.
    """

    key: str
    title: str
    is_shown: Callable[[Page], bool]
    terms: tuple[str, ...] = ()


def _has_evidence(page: Page) -> bool:
    answer = page.report.answer
    return bool(
        answer.evidence
        or page.report.missing
        or page.report.notes
        or answer.projection_warning
        or answer.projection_missing
    )


def _has_profile(page: Page) -> bool:
    profile = page.report.profile
    return profile is not None and (profile.passing is not None or profile.failing is not None)


def _has_workers(page: Page) -> bool:
    workers = page.report.workers
    return len(workers) > 1 or any(one.invalid_steps or one.state != "connected" for one in workers)


SECTIONS: Final = (
    Section("exact", "In the engineer's terms", lambda _: True, ("bottleneck",)),
    Section("evidence", "Evidence", _has_evidence),
    Section("further", "Measure further", lambda page: page.report.answer.confirm_with is not None),
    Section("profile", "Where the CPU time goes", _has_profile),
    Section("sizing", "Sizing", lambda page: page.report.sizing is not None, ("headroom",)),
    Section("storms", "Storms", lambda page: page.report.storm is not None, ("reconnect storm", "resync")),
    Section("drill", "Drill", lambda page: page.report.drill is not None, ("drop", "resync")),
    Section("scaling", "More server processes", lambda page: page.report.scaling is not None, ("delivery",)),
    Section("measurements", "Measurements", lambda page: bool(page.charts), ("intended send time", "invalid")),
    Section("model", "Model", lambda page: page.report.model is not None, ("delivery",)),
    Section(
        "steps",
        "Steps",
        lambda page: bool(page.report.steps),
        ("step", "measurement window", "loop lag"),
    ),
    Section(
        "ledger",
        "Ledger",
        lambda page: bool(page.report.steps),
        ("ledger", "delivery", "lost", "duplicated", "measurement window", "reordered"),
    ),
    Section("addresses", "Addresses", lambda page: bool(page.report.address_pairs), ("delivery", "lost")),
    Section("workers", "Load generator", _has_workers, ("invalid", "step")),
    Section("environment", "Environment", lambda _: True, ("SLO",)),
    Section("terms", "Terms", lambda _: True),
)
"""All sections. The page is complete without a network, so it ends with the definitions of its own terms."""


def sections_of(page: Page) -> list[Section]:
    """Return the sections of a page, in their order."""
    return [section for section in SECTIONS if section.is_shown(page)]


def terms_of(page: Page) -> list[Term]:
    """Return the terms that the sections of a page use, in alphabetical order."""
    return terms(name for section in sections_of(page) for name in section.terms)
