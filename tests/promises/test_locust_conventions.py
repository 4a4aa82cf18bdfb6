"""What Locust's documentation says about user classes holds for `ChatUser`: one small locustfile for each statement."""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until
from tests.promises.convention_locustfiles import (
    CLASSES,
    EVENTS,
    HOOKS,
    PRELUDE,
    QUITS,
    REQUEST_EVENTS,
    STOPS,
    TAGS,
    TASK_SETS,
    TASKS,
    WAIT_TIMES,
)
from tests.promises.own_scenarios import MESSAGES, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import FinishedRun, Locust, WebLocust

    Run = Callable[..., FinishedRun]


def run(locust: Callable[..., Locust], server: RunningServer, folder: Path, text: str, *flags: str) -> FinishedRun:
    """Run a locustfile to its end, which it decides itself."""
    file = write(folder, PRELUDE + text)
    return locust("--headless", "-f", file, "--host", server.url, *flags).wait(traceback="on purpose" in text)


def seen(ended: FinishedRun) -> list[str]:
    """Return what the locustfile saw, in order."""
    return re.findall(r"^saw: (.*)", ended.out, re.MULTILINE)


def test_wait_times(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    ended = run(locust, server, tmp_path, WAIT_TIMES, "-u", "5", "-r", "5")
    starts: dict[str, list[float]] = {}
    for name, at in map(str.split, seen(ended)):
        starts.setdefault(name, []).append(float(at))
    took = {name: times[4] - times[0] for name, times in starts.items()}
    # A task takes 0.1 s. Only a pace and a throughput include it. Their first interval begins before the first task.
    least = {"Between": 2.0, "Constant": 2.0, "Own": 2.0, "Paced": 1.6, "Throughput": 1.6}
    assert set(took) == set(least)
    assert all(took[name] >= seconds - 0.001 for name, seconds in least.items()), took
    assert ended.ended_with(0), ended.out + ended.log


def test_tasks_as_a_list_a_dict_and_methods(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    ended = run(locust, server, tmp_path, TASKS, "-u", "3", "-r", "3")
    counts = Counter(seen(ended))
    assert counts["Listed first"] > 5 < counts["Listed second"]
    assert counts["Weighted first"] > 3 * counts["Weighted second"]
    assert counts["Decorated third"] > counts["Decorated first"]
    said = sum(number for line, number in counts.items() if "third" not in line)
    # The test ends in the middle of tasks: what is said after that is not sent.
    assert 0 < server.samples()[MESSAGES.format("received", "chatMessage")] == ended.ledger()["sent"] <= said
    assert ended.ended_with(0), ended.out + ended.log


def test_nested_and_sequential_task_sets(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    ended = run(locust, server, tmp_path, TASK_SETS, "-u", "1")
    lines = " ".join(seen(ended))
    steps = "steps start one True True two three steps stop"
    assert lines.count(steps) >= 1
    rest = " ".join(lines.replace(steps, "").replace("Nested left", "").split())
    assert re.fullmatch(r"(steps start( one True True( two)?)?( steps stop)?)?", rest), "the end cuts off at most one"
    assert ended.requests()["leave"][0] >= 8
    assert ended.ended_with(0), ended.out + ended.log


def test_tags(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    def kinds(*flags: str) -> set[str]:
        return {line.split()[1] for line in seen(run(locust, server, tmp_path, TAGS, *flags))}

    assert kinds("--tags", "slow") == {"slow", "big"}
    assert kinds("--exclude-tags", "big") == {"slow", "plain"}


def test_several_classes_with_weights_and_inheritance(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    ended = run(locust, server, tmp_path, CLASSES, "-u", "18", "-r", "18")
    started = Counter(line.removeprefix("start ") for line in seen(ended) if line.startswith("start"))
    assert started == {"Two True": 2, "Three True": 6, "One True": 2, "Heir True": 8}
    assert ended.ended_with(0), ended.out + ended.log
    listed = locust("-f", str(tmp_path / "mychat.py"), "--list").wait()
    assert {"Heir", "One", "Three", "Two"} < set(listed.out.split())
    assert "Base" not in listed.out


def test_hooks_with_and_without_super(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    ended = run(locust, server, tmp_path, HOOKS, "-u", "2", "-r", "2")
    lines = seen(ended)
    assert (
        lines.index("before None")
        < lines.index("after True")
        < lines.index("stopping True")
        < lines.index("stopped False")
    )
    assert lines.index("nothing") < lines.index("Neither True") < lines.index("left to the library True")
    assert ended.ended_with(0), ended.out + ended.log
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"]
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")
    assert set(server.closed()) == {"client"}, "every user says that it leaves"


def test_events_and_options(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    flags = ("--greeting", "good morning", "--rooms", "7")
    ended = run(locust, server, tmp_path, EVENTS, "-u", "1", *flags)
    lines = seen(ended)
    assert (lines[0], lines[-1]) == ("test_start True", "test_stop")
    assert lines.count("options good morning 7 1.0") >= 3
    errors = lines.count("user_error raised on purpose")
    assert errors >= 3
    assert f"exception in user code, {errors} times (raised on purpose, " in ended.out
    assert ended.code == 98


def test_a_task_may_stop_its_user(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    ended = run(locust, server, tmp_path, STOPS, "-u", "2", "-r", "2")
    lines = seen(ended)
    assert lines.count("Stopping") == 1
    assert "Rest ['Rest']" in lines
    assert ended.ended_with(0), ended.out + ended.log


@pytest.mark.parametrize("flags", [(), ("--stop-timeout", "60")], ids=["at once", "with a stop timeout"])
def test_a_task_may_end_the_test(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    ended = run(locust, server, tmp_path, QUITS, "-u", "4", "-r", "4", *flags)
    assert ended.ended_with(0), ended.out + ended.log
    ledger, counted = ended.ledger(), server.samples()
    assert ledger["sent"] == counted[MESSAGES.format("received", "chatMessage")] > 4
    assert ledger["received"] == ledger["expected"] == counted[MESSAGES.format("delivered", "chatMessage")]
    assert Counter(seen(ended)) == {"stopped False": 4}
    assert set(server.closed()) == {"client"}


def test_the_class_picker(web_locust: Callable[..., WebLocust], server: RunningServer, tmp_path: Path) -> None:
    web = web_locust("-f", write(tmp_path, PRELUDE + CLASSES), "--class-picker", "--host", server.url)
    for classes in (["Three"], ["One", "Heir"]):
        web.post("/swarm", user_count=6, spawn_rate=6, user_classes=classes)
        web.until(lambda now: now["ready"] == now["users"] == 6)
        web.post("/stop")
        web.until(lambda now: now["connections"] == 0)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    started = [line.split()[1] for line in seen(ended) if line.startswith("start")]
    assert set(started[:6]) == {"Three"}
    assert set(started[6:]) == {"One", "Heir"}


def test_request_events(locust: Callable[..., Locust], server: RunningServer, tmp_path: Path) -> None:
    ended = run(locust, server, tmp_path, REQUEST_EVENTS, "-u", "1")
    counts = Counter(seen(ended))
    assert set(counts) == {"GET health", "OWN fired", "Firing"}, "requests of the chat client are only counted"
    assert ended.requests()["silent"][0] >= 3
    assert re.search(rf"^OWN +fired +{counts['OWN fired']} ", ended.log, re.MULTILINE)
    assert ended.ended_with(0), ended.out + ended.log
