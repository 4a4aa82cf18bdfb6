from __future__ import annotations

import gzip
import subprocess

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics.catalog import CATALOG
from server.stats import ServerStats
from stampede.metrics.exposition import Exposition
from tests.metrics.pages import sample_key, series
from tests.metrics.states import busy_stats, exposition

OPENMETRICS = (  # what Prometheus 2.42 sends
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PLAIN = ("", "text/plain;version=1.0.0", "application/openmetrics-text;version=1.0.0", OPENMETRICS)
ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
ROOMS = {"a": [1, 2], "b": [1, 2, 3]}


def test_text_is_the_default() -> None:
    page = exposition(ServerStats(), {}).render()
    assert page.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert page.content_encoding is None


def test_openmetrics_is_negotiated_and_has_the_same_values() -> None:
    page = exposition(busy_stats(), ROOMS, process=True).render(accept=OPENMETRICS)
    text = exposition(busy_stats(), ROOMS, process=True).render()
    assert page.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert page.body.endswith(b"# EOF\n")
    parsed = text_string_to_metric_families(page.body.decode())  # type: ignore[no-untyped-call] # unannotated
    families = list(parsed)
    said = {sample_key(sample.name, sample.labels): sample.value for family in families for sample in family.samples}
    chat = {key: value for key, value in said.items() if key.startswith("chat_")}
    assert chat == {key: n for key, n in series(text.body).items() if key.startswith("chat_")}
    units = {family.name: family.unit for family in families if family.unit}
    assert units["chat_received_bytes"] == "bytes"
    assert units["chat_ping_rtt_seconds"] == "seconds"


@pytest.mark.parametrize("accept", [*PLAIN, *(f"{form};escaping={how}" for form in PLAIN[1:] for how in ESCAPINGS)])
def test_every_format_equals_the_library_s_output(accept: str) -> None:
    metrics = exposition(busy_stats(), ROOMS)
    encode, content_type = choose_encoder(accept)
    page = metrics.render(accept)
    assert page.content_type == content_type
    assert page.body == encode(exposition(busy_stats(), ROOMS)._registry)


@pytest.mark.parametrize("encodings", ["gzip", "deflate, GZIP;q=0.8", "br,gzip"])
def test_gzip_is_negotiated(encodings: str) -> None:
    page = exposition(busy_stats(), ROOMS).render(accept_encoding=encodings)
    plain = exposition(busy_stats(), ROOMS).render()
    assert page.content_encoding == "gzip"
    assert gzip.decompress(page.body) == plain.body
    assert len(page.body) < len(plain.body) / 4


def test_every_page_has_a_vary_header() -> None:
    metrics = exposition(ServerStats(), {})
    assert metrics.render().headers == {"Vary": "Accept, Accept-Encoding"}
    assert metrics.render("", "gzip").headers == {"Vary": "Accept, Accept-Encoding", "Content-Encoding": "gzip"}


def test_the_exporter_measures_itself_and_shows_the_scrapes_before_this_one() -> None:
    times = iter((0.0, 0.002, 10.0, 10.3))
    metrics = Exposition([], process=False, duration=CATALOG["chat_scrape_duration_seconds"], clock=times.__next__)
    metrics.render()
    page = series(metrics.render().body)
    name = "chat_scrape_duration_seconds"
    assert page[f'{name}_bucket{{le="0.001"}}'] == 0
    assert page[f'{name}_bucket{{le="0.0025"}}'] == page[f'{name}_bucket{{le="+Inf"}}'] == page[f"{name}_count"] == 1
    assert page[f"{name}_sum"] == pytest.approx(0.002)


def test_the_same_state_gives_the_same_bytes() -> None:
    pages = [exposition(busy_stats(), ROOMS).render(OPENMETRICS, "gzip") for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", ";;,,", "text/plain; version=abc", "application/openmetrics-text; version=x"]
)
def test_an_invalid_accept_header_gets_text(accept: str) -> None:
    assert exposition(ServerStats(), {}).render(accept=accept).content_type.startswith("text/plain; version=0.0.4")


def test_the_page_has_process_metrics_and_no_created_series() -> None:
    page = series(exposition(ServerStats(), {}, process=True).render().body)
    assert not [key for key in page if "_created" in key and not key.startswith("chat_rooms_created_total")]
    assert page["process_resident_memory_bytes"] > 0
    assert 'python_gc_collections_total{generation="0"}' in page
    assert [key for key in page if key.startswith("python_info{")]


def test_promtool_accepts_the_page(promtool: str) -> None:
    page = exposition(busy_stats(), ROOMS, process=True).render().body
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
