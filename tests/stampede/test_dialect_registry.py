"""Dialects are found by name, by `module:Class`, and among the entry points of installed packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING

import pytest

from stampede import dialect_registry
from stampede.dialect_registry import BUILT_IN, PRESETS, DialectError, load_dialect, names
from stampede.dialects.base import Dialect
from stampede.dialects.stampede import StampedeDialect

if TYPE_CHECKING:
    from collections.abc import Mapping


class Acme(Dialect):
    """A dialect of a scenario."""

    name = "acme"


INSTANCE = Acme()


@pytest.mark.parametrize("name", [*BUILT_IN, *PRESETS])
def test_each_built_in_dialect_is_found_by_its_name(name: str) -> None:
    assert load_dialect(name).name == name


def test_a_dialect_may_be_given_by_its_class_by_an_object_or_as_itself() -> None:
    assert isinstance(load_dialect(f"{__name__}:Acme"), Acme)
    assert load_dialect(f"{__name__}:INSTANCE") is INSTANCE
    assert load_dialect(INSTANCE) is INSTANCE


def test_an_installed_package_adds_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str, name: str = "acme") -> EntryPoints:
        added = EntryPoints([EntryPoint("acme", f"{__name__}:Acme", dialect_registry.ENTRY_POINTS)])
        return added.select(group=group, name=name)

    monkeypatch.setattr(dialect_registry, "entry_points", entry_points)
    assert names() == [*BUILT_IN, *PRESETS, "acme"]
    assert isinstance(load_dialect("acme"), Acme)
    assert isinstance(load_dialect("stampede"), StampedeDialect)


MISTAKES: Mapping[str, str] = {
    "nothing": r"'nothing' is not a dialect: give one of stampede, .*, FILE.toml, or module:Class",
    "no.such.module:Acme": r"'no.such.module:Acme' is not a dialect: No module named 'no'",
    f"{__name__}:Other": r"is not a dialect: module '.*' has no attribute 'Other'",
    "json:JSONDecoder": r"is not a dialect: json:JSONDecoder is no subclass of stampede.Dialect",
    ":Acme": "is not a dialect",
}


@pytest.mark.parametrize("given", MISTAKES)
def test_a_mistake_ends_in_one_line(given: str) -> None:
    with pytest.raises(DialectError, match=MISTAKES[given]) as caught:
        load_dialect(given)
    assert "\n" not in str(caught.value)
