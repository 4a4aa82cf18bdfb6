"""Locust's table, page, CSV and HTML agree with the summary and the snapshot, however a run ends."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.promises.faulty_server import faulty_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust, WebLocust

# A delivery that has not arrived after one to two sweeps is lost.
OFTEN_SWEEPING = """
from stampede.pool import user_pool
user_pool.SWEEP_SECONDS = 1.0
"""

PROCESSES = pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
TALK = ("--room-size", "10", "--message-rate", "5", "ChattingUser")


def of_csv(prefix: Path) -> dict[str, tuple[int, int]]:
    """Return requests and failures by name."""
    with Path(f"{prefix}_stats.csv").open() as file:
        return {
            row["Name"]: (int(row["Request Count"]), int(row["Failure Count"]))
            for row in csv.DictReader(file)
            if row["Type"] == "WS"
        }


def last_of_history(prefix: Path) -> tuple[int, int]:
    with Path(f"{prefix}_stats_history.csv").open() as file:
        *_, row = csv.DictReader(file)
    return int(row["Total Request Count"]), int(row["Total Failure Count"])


def of_html(path: Path) -> dict[str, tuple[int, int]]:
    found = re.search(r"window\.templateArgs = (\{.*?\})\s*;?\s*(?:window|</script>)", path.read_text(), re.DOTALL)
    assert found is not None
    rows = json.loads(found[1])["requests_statistics"]
    return {row["name"]: (row["num_requests"], row["num_failures"]) for row in rows if row["method"] == "WS"}


def of_page(web: WebLocust) -> dict[str, tuple[int, int]]:
    rows = json.loads(web.get("/stats/requests"))["stats"]
    return {row["name"]: (row["num_requests"], row["num_failures"]) for row in rows if row["method"] == "WS"}


def of_snapshot(snapshot: Any) -> dict[str, tuple[int, int]]:
    return {
        name.removeprefix("WS "): (row["count"], row["failures"])
        for name, row in snapshot["requests"].items()
        if row["count"]
    }


def deliveries(ended: FinishedRun) -> tuple[int, int]:
    ledger = ended.ledger()
    return ledger["received"] + ledger["lost"], ledger["lost"]


def wait_for_agreement(web: WebLocust) -> dict[str, tuple[int, int]]:
    """Wait until Locust's page, which may be two seconds old, shows the counts of the snapshot after a test."""
    deadline = time.monotonic() + web.locust.timeout
    while True:
        shown, counted = of_page(web), of_snapshot(web.snapshot())
        shown = {name: counts for name, counts in shown.items() if counts != (0, 0)}
        if shown == counted:
            return counted
        assert time.monotonic() < deadline, (shown, counted)
        time.sleep(0.2)


def is_chatting(users: int, now: Any) -> bool:
    return bool(now["ready"] == users and now["deliveries"]["received"] > 100)


def all_ready(users: int, now: Any) -> bool:
    return bool(now["ready"] == now["users"] == users)


@PROCESSES
@pytest.mark.parametrize("how", ["by itself", "by Ctrl-C", "by SIGTERM"])
def test_csv_and_html_agree_with_the_summary_however_a_run_ends(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, processes: list[str], how: str
) -> None:
    prefix, report = tmp_path / "run", tmp_path / "report.html"
    flags = ("-u", "40", "-r", "40", *TALK, *processes, "--csv", str(prefix), "--html", str(report))
    length = ("-t", "3s") if how == "by itself" else ()
    running = locust("--headless", "--host", server.url, *flags, *length)
    if length == ():
        while server.samples()['chat_messages_delivered_total{type="chatMessage"}'] < 1000:
            time.sleep(0.05)
    if how == "by Ctrl-C":
        running.interrupt()
    elif how == "by SIGTERM":
        running.process.send_signal(signal.SIGTERM)
    ended = running.wait()
    assert ended.ended_with(0), ended.out + ended.log
    table = ended.requests()
    assert table["deliver"] == deliveries(ended) > (0, 0)
    assert table["send"][0] >= ended.ledger()["sent"]
    assert of_csv(prefix) == of_html(report) == table
    assert last_of_history(prefix) == (sum(n for n, _ in table.values()), sum(n for _, n in table.values()))


@PROCESSES
def test_a_second_test_contains_nothing_of_the_first(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, *TALK, *processes)
    for users in (40, 20):
        web.post("/swarm", user_count=users, spawn_rate=users)
        web.until(partial(is_chatting, users))
        web.post("/stop")
        web.until(lambda now: now["connections"] == 0)
        assert wait_for_agreement(web)["connect"] == (users, 0)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.requests()["deliver"] == deliveries(ended)


@PROCESSES
def test_changing_the_number_of_users_keeps_the_page_and_the_snapshot_equal(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, *TALK, *processes)
    for users in (20, 40, 10):
        web.post("/swarm", user_count=users, spawn_rate=40)
        web.until(partial(all_ready, users))
    web.post("/stop")
    web.until(lambda now: now["connections"] == 0)
    assert wait_for_agreement(web)["connect"][0] == 40


@PROCESSES
def test_a_reset_of_locust_s_statistics_resets_the_snapshot(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    levels = ("--threshold", "deliver_p50<=0us", "--threshold-window", "1")  # fails in every window
    web = web_locust("--host", server.url, *levels, *TALK, *processes)
    web.post("/swarm", user_count=40, spawn_rate=40)
    web.until(lambda now: now["ready"] == 40 and now["deliveries"]["received"] > 1000)
    web.post("/stats/reset")
    after = web.until(lambda now: now["deliveries"]["received"] > 0)
    assert after["requests"]["WS connect"]["count"] == after["requests"]["WS join"]["count"] == 0
    web.until(lambda now: now["deliveries"]["received"] > 1000)
    web.post("/stop")
    end = web.until(lambda now: now["connections"] == 0)
    counted = wait_for_agreement(web)
    assert set(counted) == {"deliver", "send"}
    ledger = end["deliveries"]
    assert ledger["expected"] == ledger["received"] + ledger["lost"]
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.requests()["deliver"] == deliveries(ended) == counted["deliver"]
    reset = re.search(r"note +statistics were reset (\d+) s after the start: all figures count from there", ended.out)
    judged = re.search(r"deliver_p50<=0us +FAILED in .*\((\d+):(\d+)-", ended.out)
    assert reset is not None
    assert judged is not None
    assert 60 * int(judged[1]) + int(judged[2]) >= int(reset[1]) - 1  # one is rounded, the other truncated
    assert "no user joined" not in ended.out


@PROCESSES
def test_reset_stats_after_the_ramp_resets_the_summary(
    locust: Callable[..., Locust], server: RunningServer, processes: list[str]
) -> None:
    ended = locust(
        "--headless", "--host", server.url, "-u", "40", "-r", "40", "-t", "5s", "--reset-stats", *TALK, *processes
    ).wait()
    assert ended.requests()["deliver"] == deliveries(ended) > (0, 0)
    assert "statistics were reset" in ended.out


def test_a_lost_delivery_is_counted_by_page_and_snapshot_at_the_same_time(
    web_locust: Callable[..., WebLocust], tmp_path: Path
) -> None:
    patch = tmp_path / "often_sweeping.py"
    patch.write_text(OFTEN_SWEEPING)
    with faulty_server(drop=50) as faulty:
        web = web_locust("--host", faulty.url, "-f", f"loadtest,{patch}", *TALK)
        web.post("/swarm", user_count=20, spawn_rate=20)
        web.until(lambda now: now["deliveries"]["lost"] > 10)  # found by a sweep during the test
        web.post("/stats/reset")
        web.until(lambda now: now["deliveries"]["received"] > 200)
        web.post("/stop")
        end = web.until(lambda now: now["connections"] == 0)
        assert wait_for_agreement(web)["deliver"] == (
            end["deliveries"]["received"] + end["deliveries"]["lost"],
            end["deliveries"]["lost"],
        )
