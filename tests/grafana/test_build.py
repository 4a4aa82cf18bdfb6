"""The committed JSON equals the output of the code, and fits the types of Grafana's SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from grafana.build import FOLDER, dashboards, encode
from grafana.promql import gauge, quantile, rate
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ["loadtest", "overview", "process", "rooms"]


def provisioned(path: str) -> Any:
    return yaml.safe_load((ROOT / "grafana" / "provisioning" / path).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_what_the_code_builds(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_bytes() == encode(dashboards()[name])


def test_no_other_file_is_committed_beside_the_dashboards() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"{name}.json" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_each_dashboard_has_a_small_preview(name: str) -> None:
    assert 0 < (FOLDER.parent / "previews" / f"{name}.png").stat().st_size < 200_000


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_in_the_schema(name: str) -> None:
    """The SDK drops unknown keys, so a misspelt one is missing after a round trip."""
    schema, text = type(dashboards()[name]), (FOLDER / f"{name}.json").read_bytes()
    assert encode(schema.from_json(json.loads(text))) == text
    unknown_key = json.loads(text) | {"titel": "misspelt"}
    assert encode(schema.from_json(unknown_key)) == text


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda: gauge("chat_no_such_metric"), KeyError),
        (lambda: gauge("chat_connections_opened_total"), ValueError),
        (lambda: rate("chat_connections"), ValueError),
        (lambda: rate("chat_connections_closed_total", by=("cause",)), ValueError),
        (lambda: rate("chat_messages_delivered_total", kind="chatMessage"), ValueError),
        (lambda: quantile(0.99, "chat_rooms"), ValueError),
    ],
)
def test_a_query_of_an_unknown_metric_or_label_is_refused(write: Callable[[], str], error: type[Exception]) -> None:
    with pytest.raises(error):
        write()


def test_the_library_is_imported_without_a_warning() -> None:
    command = [sys.executable, "-W", "error", "-c", "import grafana.build"]
    subprocess.run(command, check=True, cwd=ROOT)


def test_provisioning_names_what_the_dashboards_need() -> None:
    (source,) = provisioned("datasources/stampede.yaml")["datasources"]
    assert (source["type"], source["url"], source["jsonData"]["timeInterval"]) == (
        "prometheus",
        "$PROMETHEUS_URL",
        "1s",
    )
    (provider,) = provisioned("dashboards/stampede.yaml")["providers"]
    assert (provider["type"], provider["options"]) == ("file", {"path": "$DASHBOARDS"})
    assert provider["allowUiUpdates"] is False
    everywhere = (ROOT / "compose.yaml").read_text()
    assert all(f"{name}:" in everywhere for name in ("PROMETHEUS_URL", "DASHBOARDS"))


def test_the_interval_of_rates_is_that_of_the_scrapes() -> None:
    (source,) = provisioned("datasources/stampede.yaml")["datasources"]
    scrapes = yaml.safe_load((ROOT / "metrics" / "prometheus" / "loadtest.yml").read_text())["global"][
        "scrape_interval"
    ]
    assert source["jsonData"]["timeInterval"] == scrapes
