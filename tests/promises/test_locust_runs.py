"""`locust -f loadtest` as users run it, against our server and a plain one with only the basic protocol."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from stampede.locust.options import OPTIONS
from stampede.verdict.summary import EXIT_CODES
from stampede.workload.shapes import DESCRIPTIONS
from tests import preloaded
from tests.metrics.fixtures import wait_until
from tests.metrics.pages import series
from tests.ports import free_port
from tests.stampede.fixtures import has_delivered, latency, with_master_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.processes import ServerProcess
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

CLASSES = ["ChattingUser", "FileUploadUser", "ListeningUser", "ReconnectStormUser", "TypingUser"]
CHAT = 'chat_messages_{}_total{{type="chatMessage"}}'

# With this seed each upload user uploads once within 3 s of its join, and not again for seven seconds. An upload that
# has no answer at the end of the run would be counted by the server only.
EARLY_UPLOADS = ("--seed", "85002")
UPLOAD_USERS = 9  # of 200 users

# The plain server never sends fileReady: the first upload waits for it.
SHORT_WAIT = """
from stampede.client import upload
upload._READY_SECONDS = 1.0
"""


BLOCKING = """
import time, gevent
from locust import events
from stampede.locust.agents import worker

worker.WINDOW_SECONDS = 2.0  # two in a row make the run invalid

def block():
    while True:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        gevent.sleep(0.001)

events.test_start.add_listener(lambda **_: gevent.spawn(block))
"""


CTRL_C_WHILE_READING = """
import os, signal
from stampede.websocket.connection import Connection

on_readable = Connection.on_readable
reads = 0

def interrupted(self):
    global reads
    reads += 1
    if reads == 500:
        os.kill(os.getpid(), signal.SIGINT)
    return on_readable(self)

Connection.on_readable = interrupted
"""


def run_to_end(*args: str, locustfile: str = "loadtest") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", locustfile, *with_master_port(args)]
    with preloaded.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, log = process.communicate(timeout=100)
    return subprocess.CompletedProcess(command, process.returncode, out, log)


def test_the_list_shows_exactly_the_five_user_classes() -> None:
    command = [sys.executable, "-m", "locust", "-f", "loadtest", "--list"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert sorted(shown.split()[2:]) == CLASSES


def test_the_help_of_the_load_test_shows_its_options_beside_those_of_locust() -> None:
    command = [sys.executable, "-m", "stampede.locust", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--locustfile" in shown
    for option in OPTIONS:
        assert f"--{option.name} " in shown
    assert "--insecure" in shown
    for name in (*(f"{shape.value}:" for shape in DESCRIPTIONS), *(f"{code}:" for code in EXIT_CODES)):
        assert f"\n    {name} " in shown


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rooms", "none"], "'none' is not a whole number of at least 1"),
        (["--rooms", "0"], "'0' is not a whole number of at least 1"),
        (["--message-rate", "-1"], "'-1' is not a number between"),
        (["--message-bytes", "8"], "'8' is not a whole number between"),
        (["--upload-bytes", "big"], "'big' is not a size"),
        (["--backoff", "never"], "invalid choice: 'never'"),
        (["--ca-file", "/nowhere.pem", "--host", "wss://127.0.0.1:9"], "--ca-file /nowhere.pem: No such file"),
        (["--token-file", "/nowhere"], "--token-file /nowhere: No such file"),
        (["--token", "x", "--token-file", "y"], "--token and --token-file contradict each other"),
        (["--threshold", "deliver_p9<x"], "is not of the form"),
        (["--path", "chat"], "'chat' does not begin with a slash"),
        (["--rooms", "1", "--processes", "2"], "--rooms 1 is less than the 2 processes"),
        (["--rooms", "2", "--room-size", "2"], "--rooms and --room-size contradict each other"),
        (["--host", "ws://127.0.0.1:9", "--processes", "2"], "cannot connect to ws://127.0.0.1:9/: connection refused"),
        (["--host", "http://localhost"], "not a WebSocket address"),
        (["--host", "ws://no.such.host.invalid"], "cannot connect to ws://no.such.host.invalid/"),
        (["--host", "ws://127.0.0.1:9"], "cannot connect to ws://127.0.0.1:9/: connection refused"),
    ],
)
def test_a_bad_value_gives_one_line_and_exit_code_2(flags: list[str], words: str) -> None:
    done = run_to_end("--headless", "-t", "1s", "--loglevel", "WARNING", *flags)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert words in errors[0]


def test_a_shape_without_a_length_gives_one_line_and_exit_code_2(server: RunningServer) -> None:
    done = run_to_end("--headless", "--host", server.url, "--shape", "ramp", "-u", "5", "--loglevel", "WARNING")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "locust: error: --shape ramp needs the test's length: give -t, such as -t 5m (on the page: Run time)"
    ]


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_a_taken_web_port_gives_one_line_and_exit_code_2(
    locust: Callable[..., Locust], server: RunningServer, processes: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = locust("--host", server.url, "--web-host", "127.0.0.1", "--web-port", port, *processes).wait()
    assert ended.code == 2
    errors = [line for line in ended.log.splitlines() if "error" in line.lower()]
    assert errors == [f"locust: error: --web-port {port}: address already in use; give another"]


def test_a_refused_upgrade_is_reported_with_its_status(server: RunningServer) -> None:
    done = run_to_end("--headless", "-t", "1s", "--host", server.url, "--path", "/nowhere")
    assert done.returncode == 2
    assert f"cannot connect to {server.url}/nowhere: HTTP 404" in done.stderr


def test_a_server_of_another_protocol_is_reported(server: RunningServer) -> None:
    done = run_to_end("--headless", "-t", "1s", "--host", server.url, "--path", "/ws/echo")
    assert done.returncode == 2
    assert f"{server.url}/ws/echo sent no greeting within 5 s; is this a Stampede server?" in done.stderr


def test_users_authenticate_with_tokens_and_an_invalid_token_is_reported(
    locust: Callable[..., Locust], start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    secret, tokens = tmp_path / "secret", tmp_path / "tokens"
    secret.write_text("s" * 32)
    tokens.write_text("\n".join(jwt.encode({"sub": f"user-{n}"}, "s" * 32, "HS256") for n in range(6)))
    server = start("--jwt-secret-file", str(secret))
    flags = ("--headless", "--host", server.url, "ChattingUser", "-u", "6", "-r", "6", "--message-rate", "5")
    ended = locust(*flags, "--token-file", str(tokens)).stop_once(has_delivered(server, 100))
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.ledger()["received"] == ended.ledger()["expected"] > 0
    refused = locust(*flags, "--token", "guessed").wait()
    assert refused.code == 2
    assert "HTTP 401 The token is not valid" in refused.log


def test_200_users_of_all_classes_lose_nothing_and_agree_with_the_server(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "--storm-period", "3", "--upload-bytes", "1k-200k", *EARLY_UPLOADS)
    web.post("/swarm", user_count=200, spawn_rate=200)
    web.until(has_done_everything)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    ledger, table, counted = ended.ledger(), ended.requests(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.failed() == []
    assert ledger["received"] == ledger["expected"] > 0
    assert (ledger["lost"], ledger["duplicated"], ledger["reordered"]) == (0, 0, 0)
    assert counted[CHAT.format("received")] == ledger["sent"] == table["send"][0]
    # The server also counts what was in flight to users that a storm dropped.
    assert counted[CHAT.format("delivered")] >= ledger["received"] == table["deliver"][0]
    assert counted['chat_uploads_total{outcome="saved"}'] == table["upload"][0] > 0
    assert counted['chat_messages_received_total{type="typing"}'] == table["typing"][0] > 0
    assert table["resync"][0] > 0
    assert table["ping"][0] > 0
    assert "  verdict     " in ended.out


def has_done_everything(now: Any) -> bool:
    counts = {name.removeprefix("WS "): row["count"] for name, row in now["requests"].items()}
    happened = all(counts[name] for name in ("deliver", "resync", "ping", "typing"))
    return bool(happened and counts["upload"] >= UPLOAD_USERS and now["ready"] == 200)


def test_two_processes_count_exactly_what_the_server_counts(
    locust: Callable[..., Locust], server: RunningServer
) -> None:
    flags = ("ChattingUser", "-u", "120", "-r", "120", "--processes", "2", "--room-size", "10")
    running = locust("--headless", "--host", server.url, *flags)
    ended = running.stop_once(has_delivered(server, 1000, joins=120))
    ledger, table, counted = ended.ledger(), ended.requests(), server.samples()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["expected"] == ledger["received"] == counted[CHAT.format("delivered")] == table["deliver"][0] > 0
    assert ledger["sent"] == counted[CHAT.format("received")] == table["send"][0] > 0
    assert table["connect"] == table["join"] == (120, 0)


def test_a_plain_server_works_and_the_summary_names_the_answers_that_it_lacks(
    locust: Callable[..., Locust], plain_peer: ServerProcess, tmp_path: Path
) -> None:
    patch = tmp_path / "short_wait.py"
    patch.write_text(SHORT_WAIT)
    # Long enough for one upload of each user, for its wait for an answer, and for the first storm.
    flags = ("-u", "60", "-r", "60", "-t", "9s", "--storm-period", "3", "--upload-bytes", "1k-200k", *EARLY_UPLOADS)
    ended = locust("--headless", "--host", plain_peer.url, *flags, "-f", f"loadtest,{patch}").wait()
    ledger, table = ended.ledger(), ended.requests()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.failed() == []
    assert ledger["received"] == ledger["expected"] > 0
    assert (ledger["lost"], ledger["duplicated"]) == (0, 0)
    assert table["resync"][0] > 0
    assert "does not send fileReady" in ended.out


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
def test_ctrl_c_prints_the_summary_and_leaves_no_process(
    locust: Callable[..., Locust], server: RunningServer, processes: list[str]
) -> None:
    running = locust("--headless", "--host", server.url, "ChattingUser", "-u", "40", "-r", "40", *processes)
    wait_for_deliveries(server)
    running.interrupt()
    ended = running.wait()
    ledger = ended.ledger()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["received"] == ledger["expected"] == server.samples()[CHAT.format("delivered")]
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")


def test_ctrl_c_while_sockets_are_read_loses_no_message(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "ctrl_c.py"
    locustfile.write_text(CTRL_C_WHILE_READING)
    flags = ("--headless", "--host", server.url, "ChattingUser", "-u", "40", "-r", "40", "--message-rate", "5")
    ended = locust(*flags, "-f", f"loadtest,{locustfile}").wait()
    ledger = ended.ledger()
    assert ended.ended_with(0), ended.out + ended.log
    assert ledger["received"] == ledger["expected"] == server.samples()[CHAT.format("delivered")] > 0


def wait_for_deliveries(server: RunningServer) -> None:
    wait_until(has_delivered(server, 1), "the first delivery")


def test_a_dead_server_is_counted_and_does_not_flood_the_log(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    web.post("/swarm", user_count=20, spawn_rate=20)
    web.until(lambda now: now["ready"] == 20)
    server.kill()
    web.until(lambda now: now["requests"]["WS connect"]["failures"] >= 40)
    web.until(lambda now: now["connections"] == now["ready"] == 0)  # except while a user is trying to reconnect
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.ended_with(1)
    assert "connection lost: 1006" in ended.log
    assert "connection refused" in ended.log
    assert len(ended.log.splitlines()) < 60


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
def test_the_snapshot_follows_the_number_of_users(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, "--room-size", "10", "ChattingUser", *processes)
    before = web.snapshot()
    assert (before["version"], before["state"], before["users"], before["room_size"]) == (1, "ready", 0, None)
    web.post("/swarm", user_count=40, spawn_rate=40)
    up = web.until(lambda now: now["ready"] == 40 and now["deliveries"]["received"] > 100)
    assert (up["users"], up["connections"], up["room_size"], up["state"]) == (40, 40, 10.0, "running")
    web.post("/swarm", user_count=20, spawn_rate=40)
    down = web.until(lambda now: now["ready"] == now["users"] == 20)
    # Rooms become empty one after the other; the remaining ones are as full as before.
    assert down["room_size"] == 10.0
    assert down["deliveries"]["received"] >= up["deliveries"]["received"]
    web.post("/stop")
    end = web.until(lambda now: now["state"] in ("stopped", "ready") and now["connections"] == 0)
    deliveries = end["deliveries"]
    assert deliveries["received"] == deliveries["expected"] == server.samples()[CHAT.format("delivered")]
    assert sum(end["latency"]["intended"]["buckets"].values()) == deliveries["received"]
    assert end["sends"]["sent"] == server.samples()[CHAT.format("received")]
    assert [worker["index"] for worker in end["workers"]] == list(range(len(end["workers"])))
    assert all(worker["age_s"] <= PROMPT for worker in up["workers"])


PROMPT = 5.0  # a second on a quiet machine


def is_chatting(users: int, now: Any) -> bool:
    return bool(now["ready"] == users and now["deliveries"]["received"] > 0)


def test_a_second_test_starts_from_zero(web_locust: Callable[..., WebLocust], server: RunningServer) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    for users in (10, 5):
        web.post("/swarm", user_count=users, spawn_rate=20)
        web.until(partial(is_chatting, users))
        web.post("/stop")
        end = web.until(lambda now: now["connections"] == 0)
        assert end["requests"]["WS connect"]["count"] == users


def test_the_exporter_agrees_with_the_snapshot(web_locust: Callable[..., WebLocust], server: RunningServer) -> None:
    port = free_port()
    web = web_locust("--host", server.url, "--prometheus-port", str(port), "ChattingUser")
    web.post("/swarm", user_count=10, spawn_rate=20)
    web.until(lambda now: now["deliveries"]["received"] > 0)
    web.post("/stop")
    end = web.until(lambda now: now["connections"] == 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        page = series(answer.read())
    assert page["loadtest_deliveries_total"] == end["deliveries"]["received"]
    assert page["loadtest_deliveries_expected_total"] == end["deliveries"]["expected"]
    assert page['loadtest_delivery_duration_seconds_count{clock="sent"}'] == end["deliveries"]["received"]
    assert page['locust_requests_total{method="WS",name="deliver"}'] == end["deliveries"]["received"]
    assert page["loadtest_connections"] == 0


def test_a_busy_load_generator_makes_the_run_invalid_and_exits_with_98(server: RunningServer, tmp_path: Path) -> None:
    locustfile = tmp_path / "blocking.py"
    locustfile.write_text(BLOCKING)
    flags = ("ChattingUser", "-u", "10", "-r", "10", "-t", "6s")
    done = run_to_end("--headless", "--host", server.url, *flags, locustfile=f"loadtest,{locustfile}")
    assert done.returncode == 98, done.stdout + done.stderr
    assert "INVALID" in done.stdout
    intended, sent = (latency(done.stdout, f"from {clock} send", "p99") for clock in ("intended", "actual"))
    assert intended > sent  # only the intended clock includes the generator's lag
    assert "The load generator is the limit, this run is invalid" in done.stderr


GREENLET_WATCHER = """
import gc
from pathlib import Path
from greenlet import greenlet
import locust.user
from locust import events
import stampede

HOMES = tuple(str(Path(package.__file__).parent) for package in (stampede, locust.user))

def ours():
    found = []
    for one in gc.get_objects():
        frame = one.gr_frame if isinstance(one, greenlet) and not one.dead else None
        while frame is not None:
            if frame.f_code.co_filename.startswith(HOMES):
                found.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                break
            frame = frame.f_back
    return found

def watch(**_):  # registered after the load test's own listeners, which this event adds
    events.test_stopping.add_listener(lambda **_: print("while it ran:", len(ours()) >= 20))
    events.test_stop.add_listener(lambda **_: print("afterwards:", ours()))

events.init.add_listener(watch)
"""


def test_stopping_leaves_no_socket_and_no_greenlet(server: RunningServer, tmp_path: Path) -> None:
    watcher = tmp_path / "watcher.py"
    watcher.write_text(GREENLET_WATCHER)
    flags = ("-u", "20", "-r", "20", "-t", "3s", "--churn-per-minute", "6", "--threshold", "loss<1%")
    done = run_to_end("--headless", "--host", server.url, *flags, locustfile=f"loadtest,{watcher}")
    assert done.returncode in (0, 98), done.stdout + done.stderr
    assert "while it ran: True" in done.stdout
    assert "afterwards: []" in done.stdout
    wait_until(lambda: server.samples()["chat_connections"] == 0, "the server to read every end")
