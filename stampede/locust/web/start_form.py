"""Checks the start form of Locust's web page before Locust reads it."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from stampede.locust.options import ON_PAGE
from stampede.locust.preflight import check_server
from stampede.locust.settings import OptionError, check_processes, check_shape, read_settings, run_dialect
from stampede.websocket.target import DEFAULT_HOST, join_url

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from werkzeug.datastructures import MultiDict

    from stampede.locust.settings import LoadTestSettings

_NAME: Final = re.compile(r"(?<![\w'-])(?:--[a-z][a-z-]*|-t|[a-z]+_[a-z]+)(?![\w'-])")
"""An option such as `--room-size`, or the name of a field such as `user_count`; not a quoted value."""

_LOCUST_OPTIONS: Final = {"-t": "run_time", "--users": "user_count"}
"""Fields whose names are not those of their options."""


def check(
    form: MultiDict[str, str],
    given: argparse.Namespace,
    running: LoadTestSettings | None,
    user_classes: Collection[type] = (),
    *,
    processes: int | None,
) -> None:
    """Refuse a form with an unusable value, or one that changes our options while a test runs.

    Args:
        form: as it was sent.
        given: the current options.
        running: settings of the running test; None when there is none.
        user_classes: those that the form selects.
        processes: how many processes run users, if all of them are on this machine; otherwise None.

    Raises:
        OptionError: a value is unusable, or cannot change any more.
        ClientError: the address is unusable.
    """
    wanted = argparse.Namespace(**vars(given))
    for name in form:
        if name in ON_PAGE:
            value: Any = ",".join(form.getlist(name))
            setattr(wanted, name, value == "true" if name == "insecure" else value)
    settings = read_settings(wanted)
    if running is not None:
        changed = [
            field.name for field in fields(settings) if getattr(settings, field.name) != getattr(running, field.name)
        ]
        if changed:
            raise OptionError(f"{', '.join(map(_flag, changed))}: cannot change while a test runs; stop it first")
        return
    path = settings.path or run_dialect(settings, user_classes).path
    check_shape(settings, form.get("run_time", getattr(given, "run_time", None)))
    host = form.get("host") or getattr(given, "host", None) or DEFAULT_HOST
    if processes is None:
        join_url(host, path)  # only the remote workers need to be able to resolve the name
    else:
        check_processes(settings, processes)
        check_server(host, settings, path)


def fields_named_in(message: str, form: Container[str]) -> list[str]:
    """Return the fields of a form that a message names: ours by their options, Locust's also by their names."""
    named = [_LOCUST_OPTIONS.get(word, word.lstrip("-").replace("-", "_")) for word in _NAME.findall(message)]
    return list(dict.fromkeys(name for name in named if name in form))


def _flag(attribute: str) -> str:
    """Return the option that sets an attribute of the settings."""
    names = {
        "plan": "--rooms or --room-size",
        "accounts": "--token, --token-file or --credentials",
        "verify_tls": "--insecure",
    }
    return names.get(attribute) or "--" + attribute.removesuffix("s" if attribute == "thresholds" else "").replace(
        "_", "-"
    )
