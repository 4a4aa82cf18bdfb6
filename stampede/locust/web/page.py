"""Additions to Locust's web page: the snapshot, the storm form and the table of storms."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Response, request
from locust import runners

from stampede.locust.output.output_files import hidden_secrets
from stampede.locust.settings import OptionError
from stampede.locust.startup import check_host
from stampede.locust.web.start_form import check, fields_named_in
from stampede.locust.web.storm_advice import RUNNING, storm_refusal
from stampede.locust.web.tab_panels import CHARTS_TAB, STORMS_TAB, VERDICT_TAB, add_tab_panels
from stampede.measure.storm import Manner
from stampede.measure.storm_results import COLUMNS, table
from stampede.verdict.summary_data import summary_data
from stampede.websocket.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from locust import User
    from locust.web import WebUI
    from werkzeug.datastructures import MultiDict

    from stampede.locust.agents.master import MasterAgent

_SCRIPTS: Final = ("storm.js", "start-form.js")

_log = logging.getLogger(__name__)


def extend(web_ui: WebUI, master: MasterAgent, prefix: str, set_shape: Callable[[str], None]) -> None:
    """Add our routes, table and checks to Locust's web page.

    `GET /stampede/snapshot` returns JSON. So does `GET /stampede/summary`: the summary of the current or last run, null
    before the first. `POST /stampede/storm` with `share` (0 to 1), `manner` and `request` starts a storm.
    `POST /stampede/watch` with `request` starts a watch, `POST /stampede/watch/end` ends it.
    `POST /stampede/check` checks the server, and returns the `problem` or null. `GET /stampede/charts` and
    `GET /stampede/storm-advice` return sections of HTML.

    Args:
        web_ui: Locust's web page.
        master: that answers.
        prefix: `--web-base-path`.
        set_shape: called with the `--shape` of a start form before Locust starts the test.
    """
    app = web_ui.app
    if app is None:
        return
    _add_routes(web_ui, app, master, prefix)
    web_ui.template_args |= {
        "extendedTabs": [VERDICT_TAB, CHARTS_TAB, STORMS_TAB],
        "extendedTables": [
            {"key": STORMS_TAB["key"], "structure": [{"key": key, "title": title} for key, title, _ in COLUMNS]}
        ],
    }
    panels = add_tab_panels(web_ui, app, master, prefix)
    _extend_responses(app, master, prefix, panels)
    _check_start_form(web_ui, app, master, set_shape)
    _redact_report(web_ui, app)


def _add_routes(web_ui: WebUI, app: Flask, master: MasterAgent, prefix: str) -> None:
    def snapshot() -> Response:
        return Response(master.snapshot().to_json(), mimetype="application/json")

    def summary() -> Response:
        result = master.result()
        return Response(msgspec.json.encode(result and summary_data(result)), mimetype="application/json")

    def storm() -> Response:
        form = request.form
        try:
            number = start_storm(master, form.get("share", ""), form.get("manner", ""), form.get("request", ""))
        except OptionError as problem:
            return Response(f"{problem}\n", status=400, mimetype="text/plain")
        return Response(msgspec.json.encode({"id": number}), mimetype="application/json")

    def watch() -> Response:
        try:
            number = start_watch(master, request.form.get("request", ""))
        except OptionError as problem:
            return Response(f"{problem}\n", status=400, mimetype="text/plain")
        return Response(msgspec.json.encode({"id": number}), mimetype="application/json")

    def watch_end() -> Response:
        master.commands.end_watch()
        return Response(b"{}", mimetype="application/json")

    def check_server() -> Response:
        problem = None
        try:
            check_host(web_ui.environment)
        except (OptionError, ClientError) as error:
            problem = str(error)
        return Response(msgspec.json.encode({"problem": problem}), mimetype="application/json")

    def state() -> Response:
        known = {"state": master.state, "storm_refusal": storm_refusal(master)}
        return Response(msgspec.json.encode(known), mimetype="application/json")

    guarded: Any = web_ui.auth_required_if_enabled  # Locust does not annotate it
    for name, view, methods in (
        ("snapshot", guarded(snapshot), ["GET"]),
        ("summary", guarded(summary), ["GET"]),
        ("state", guarded(state), ["GET"]),
        ("storm", guarded(storm), ["POST"]),
        ("watch", guarded(watch), ["POST"]),
        ("watch/end", guarded(watch_end), ["POST"]),
        ("check", guarded(check_server), ["POST"]),
        ("storm.js", lambda: _script("storm_form.js"), ["GET"]),
        ("start-form.js", lambda: _script("start_form.js"), ["GET"]),
    ):
        endpoint = f"stampede_{name.replace('.', '_').replace('/', '_')}"
        app.add_url_rule(f"{prefix}/stampede/{name}", endpoint, view, methods=methods)


def _script(name: str) -> Response:
    return Response(Path(__file__).with_name(name).read_bytes(), mimetype="application/javascript")


def start_storm(master: MasterAgent, share: str, manner: str, request_id: str = "") -> int:
    """Start the storm that a form describes; empty fields mean the options' values.

    Args:
        master: that commands the workers.
        share: of all users, above 0 and at most 1.
        manner: `abrupt` or `polite`.
        request_id: makes a repeated request harmless: the second one returns the number of the first one's storm.

    Returns:
        The number of the storm.

    Raises:
        OptionError: a field is unusable, or no storm can be made now.
    """
    settings, refusal = master.settings, storm_refusal(master)
    if settings is None or refusal is not None:
        raise OptionError(refusal)
    try:
        fraction = float(share) if share else settings.storm_share
        how = Manner(manner) if manner else settings.storm_manner
    except ValueError:
        raise OptionError(f"share {share!r}, manner {manner!r}: give a number, and abrupt or polite") from None
    if not 0 < fraction <= 1:
        raise OptionError(f"share {share!r} is not above 0 and at most 1")
    return master.commands.storm(fraction, how, request_id)


def start_watch(master: MasterAgent, request_id: str = "") -> int:
    """Start a watch; return its number.

    Raises:
        OptionError: no test is running.
    """
    if master.state not in RUNNING:
        raise OptionError("no test is running")
    return master.commands.start_watch(request_id)


def _extend_responses(app: Flask, master: MasterAgent, prefix: str, panels: str) -> None:
    """Add our scripts to Locust's page, and the table of storms to its statistics."""
    scripts = "".join(
        f'<script src="{prefix}/stampede/{name}" data-prefix="{prefix}" defer></script>' for name in _SCRIPTS
    )

    def extend_response(response: Response) -> Response:
        if request.path.rstrip("/") == prefix and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace("</body>", f"{scripts}{panels}</body>"))
        elif request.path == f"{prefix}/stats/requests" and response.is_json:
            stats: Any = response.get_json()
            stats["extended_stats"] = [{"key": STORMS_TAB["key"], "data": table(master.storms())}]
            response.set_data(json.dumps(stats))
        return response

    app.after_request(extend_response)


def _check_start_form(web_ui: WebUI, app: Flask, master: MasterAgent, set_shape: Callable[[str], None]) -> None:
    """Refuse an unusable start form in Locust's way, and name its `fields`: the page shows the message there."""
    start: Any = app.view_functions["locust.swarm"]

    def checked_start() -> Any:
        form = request.form
        try:
            _apply_start_form(web_ui, master, form, set_shape)
        except (OptionError, ClientError) as error:
            _log.error("The test cannot start: %s", error)
            message = str(error)
            named = fields_named_in(message, form) or (["host"] if isinstance(error, ClientError) else [])
            return {"success": False, "message": message, "host": web_ui.environment.host, "fields": named}
        response: Response = app.make_response(start())
        answer: Any = response.get_json(silent=True) or {}
        if answer.get("success") is False:
            response.set_data(json.dumps(answer | {"fields": fields_named_in(answer["message"], form)}))
        return response

    guarded: Any = web_ui.auth_required_if_enabled  # Locust does not annotate it
    app.view_functions["locust.swarm"] = guarded(checked_start)


def _apply_start_form(
    web_ui: WebUI, master: MasterAgent, form: MultiDict[str, str], set_shape: Callable[[str], None]
) -> None:
    """Check a start form, and apply the fields that Locust does not apply itself."""
    environment = web_ui.environment
    options, runner = environment.parsed_options or argparse.Namespace(), environment.runner
    running = master.settings if master.state in RUNNING else None
    processes = 1 if isinstance(runner, runners.LocalRunner) else getattr(options, "processes", None)
    check(form, options, running, _selected_classes(web_ui, form), processes=processes)
    if running is None and "shape" in form:
        set_shape(form["shape"])
    if running is None and form.get("run_time") == "":
        options.run_time = None  # Locust 2.47 would keep the length of the last test


def _selected_classes(web_ui: WebUI, form: MultiDict[str, str]) -> list[type[User]]:
    """Return the user classes that a start form selects, as Locust does."""
    environment = web_ui.environment
    available: Any = environment.available_user_classes  # Locust annotates it with User in place of type[User]
    if not web_ui.userclass_picker_is_active or not available:
        return list(environment.user_classes)
    selected = form.getlist("user_classes")
    return [user_class for name, user_class in available.items() if name in selected or not selected]


def _redact_report(web_ui: WebUI, app: Flask) -> None:
    """Redact the host in the downloaded report and its file name."""
    report = app.view_functions["locust.stats_report"]

    def redacted_report() -> Any:
        with hidden_secrets(web_ui.environment):
            return report()

    app.view_functions["locust.stats_report"] = redacted_report
