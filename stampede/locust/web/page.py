"""What the load test adds to Locust's web page: the snapshot, the storm button and the table of storms."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Response, request
from locust import runners

from stampede.locust.settings import OptionError
from stampede.locust.web.output_files import hidden_secrets
from stampede.locust.web.start_form import check
from stampede.measure.storm import Manner
from stampede.measure.storm_results import COLUMNS, table
from stampede.websocket.target import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from locust.env import Environment
    from locust.web import WebUI
    from werkzeug.datastructures import MultiDict

    from stampede.locust.master import MasterAgent

_BUTTON: Final = Path(__file__).with_name("storm_button.js")
_TABLE_KEY: Final = "storms"
_AT_WORK: Final = (runners.STATE_SPAWNING, runners.STATE_RUNNING)

_log = logging.getLogger(__name__)


def extend(web_ui: WebUI, master: MasterAgent, prefix: str, set_shape: Callable[[str], None]) -> None:
    """Add our pages below the prefix of Locust's own.

    `GET /stampede/snapshot` answers with JSON, `POST /stampede/storm` (`share` 0..1, `manner`, `request`) commands one.
    `set_shape` is told what the start form says of `--shape`, before Locust starts anything.
    """
    app = web_ui.app
    if app is None:
        return

    def snapshot() -> Response:
        return Response(master.snapshot().to_json(), mimetype="application/json")

    def storm() -> Response:
        try:
            form = request.form
            number = command(master, form.get("share", ""), form.get("manner", ""), form.get("request", ""))
        except OptionError as problem:
            return Response(f"{problem}\n", status=400, mimetype="text/plain")
        return Response(msgspec.json.encode({"id": number}), mimetype="application/json")

    def state() -> Response:
        return Response(msgspec.json.encode({"state": master.state}), mimetype="application/json")

    def button() -> Response:
        return Response(_BUTTON.read_bytes(), mimetype="application/javascript")

    guarded: Any = web_ui.auth_required_if_enabled  # Locust does not annotate it
    for name, answer, methods in (
        ("snapshot", guarded(snapshot), ["GET"]),
        ("state", guarded(state), ["GET"]),
        ("storm", guarded(storm), ["POST"]),
        ("storm.js", button, ["GET"]),
    ):
        app.add_url_rule(f"{prefix}/stampede/{name}", f"stampede_{name.replace('.', '_')}", answer, methods=methods)
    web_ui.template_args |= {
        "extendedTabs": [{"title": "Storms", "key": _TABLE_KEY}],
        "extendedTables": [
            {"key": _TABLE_KEY, "structure": [{"key": key, "title": title} for key, title, _ in COLUMNS]}
        ],
    }
    _amend_pages(app, master, prefix)

    start = app.view_functions["locust.swarm"]

    def checked_start() -> Any:
        """Refuse a start form that is no good as Locust does: its page shows the message beside the form."""
        try:
            _take_form(web_ui.environment, master, request.form, set_shape)
        except (OptionError, ClientError) as error:
            _log.error("The test cannot start: %s", error)
            return {"success": False, "message": str(error), "host": web_ui.environment.host}
        return start()

    app.view_functions["locust.swarm"] = guarded(checked_start)

    report = app.view_functions["locust.stats_report"]

    def hidden_report() -> Any:
        with hidden_secrets(web_ui.environment):  # the file's name has the host in it, too
            return report()

    app.view_functions["locust.stats_report"] = hidden_report


def _take_form(
    environment: Environment, master: MasterAgent, form: MultiDict[str, str], set_shape: Callable[[str], None]
) -> None:
    """Check what a start form says, and take from it what Locust does not."""
    options, runner = environment.parsed_options or argparse.Namespace(), environment.runner
    running = master.settings if master.state in _AT_WORK else None
    processes = 1 if isinstance(runner, runners.LocalRunner) else getattr(options, "processes", None)
    check(form, options, running, processes=processes)
    if running is None and "shape" in form:
        set_shape(form["shape"])
    if running is None and form.get("run_time") == "":
        options.run_time = None  # Locust 2.47 would keep the length of the last test


def command(master: MasterAgent, share: str, manner: str, request_id: str = "") -> int:
    """Command a storm as a form asks for it, with the options' values for what it leaves out; return its number.

    A form with the `request` of an earlier one is that one sent again: it gets the same number and no second storm.

    Raises:
        OptionError: the form is unusable, or no test runs.
    """
    settings = master.settings
    if settings is None or master.state not in _AT_WORK:
        raise OptionError("there is no test running")
    try:
        part = float(share) if share else settings.storm_share
        how = Manner(manner) if manner else settings.storm_manner
    except ValueError:
        raise OptionError(f"share {share!r}, manner {manner!r}: give a number, and abrupt or polite") from None
    if not 0 < part <= 1:
        raise OptionError(f"share {share!r} is not above 0 and at most 1")
    return master.storm(part, how, request_id)


def _amend_pages(app: Flask, master: MasterAgent, prefix: str) -> None:
    """Put the button on Locust's page and the table of storms into its statistics."""
    script = f'<script src="{prefix}/stampede/storm.js" data-prefix="{prefix}" defer></script></body>'

    def amend(response: Response) -> Response:
        if request.path.rstrip("/") == prefix and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace("</body>", script))
        elif request.path == f"{prefix}/stats/requests" and response.is_json:
            stats: Any = response.get_json()
            stats["extended_stats"] = [{"key": _TABLE_KEY, "data": table(master.storms())}]
            response.set_data(json.dumps(stats))
        return response

    app.after_request(amend)
