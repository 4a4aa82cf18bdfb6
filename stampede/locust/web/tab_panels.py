"""Sections of HTML in tabs of Locust's page: the verdict, the charts, and how to make a storm."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Response, request

from stampede.locust.web.charts import charts_of
from stampede.locust.web.storm_advice import storm_advice
from stampede.locust.web.verdict import verdict_html, verdict_line

if TYPE_CHECKING:
    from flask import Flask
    from locust.web import WebUI

    from stampede.locust.agents.master import MasterAgent

STORMS_TAB: Final = {"title": "Storms", "key": "storms"}
"""Tab of the table of storms. Locust draws the table, and our section follows it."""

CHARTS_TAB: Final = {"title": "Delivery Charts", "key": "charts_of_deliveries"}

VERDICT_TAB: Final = {"title": "Verdict", "key": "verdict"}

_CHARTS_PATH: Final = "/stampede/charts"
_ADVICE_PATH: Final = "/stampede/storm-advice"
_VERDICT_PATH: Final = "/stampede/verdict"
_LINE_PATH: Final = "/stampede/verdict-line"
_SCRIPTS: Final = {
    "/stampede/tab-panels.js": "tab_panels.js",
    "/stampede/chart-readings.js": "chart_readings.js",
    "/stampede/verdict-line.js": "verdict_line.js",
}


def add_tab_panels(web_ui: WebUI, app: Flask, master: MasterAgent, prefix: str) -> str:
    """Add the routes of the sections; return the elements that load their scripts."""

    def charts() -> Response:
        return Response(charts_of(master), mimetype="text/html")

    def advice() -> Response:
        return Response(storm_advice(master), mimetype="text/html")

    def verdict() -> Response:
        return Response(verdict_html(master.result()), mimetype="text/html")

    def line() -> Response:
        return Response(msgspec.json.encode(verdict_line(master.result())), mimetype="application/json")

    def script() -> Response:
        name = _SCRIPTS[request.path.removeprefix(prefix)]
        return Response(Path(__file__).with_name(name).read_bytes(), mimetype="application/javascript")

    guarded: Any = web_ui.auth_required_if_enabled  # Locust does not annotate it
    views = {_CHARTS_PATH: charts, _ADVICE_PATH: advice, _VERDICT_PATH: verdict, _LINE_PATH: line}
    routes = {path: guarded(view) for path, view in views.items()} | dict.fromkeys(_SCRIPTS, script)
    for path, view in routes.items():
        app.add_url_rule(f"{prefix}{path}", f"stampede{path.replace('/', '_').replace('.', '_')}", view)
    panels = {CHARTS_TAB["title"]: _CHARTS_PATH, STORMS_TAB["title"]: _ADVICE_PATH, VERDICT_TAB["title"]: _VERDICT_PATH}
    data = f'data-prefix="{prefix}" data-panels="{escape(json.dumps(panels))}"'
    return "".join(f'<script src="{prefix}{path}" {data} defer></script>' for path in _SCRIPTS)
