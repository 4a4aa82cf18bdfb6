"""The examples on the how-to pages run as they are written there."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import block, blocks, commands, write
from tests.metrics.fixtures import skip_or_fail
from tests.ports import free_port
from tests.promises.hosts import inside, problem
from tests.stampede.fixtures import has_delivered
from tests.stampede.pytest_runs import run_pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

COVERED = {
    "tutorial/first-scenario.md", "how-to/coming-from.md", "how-to/two-sockets.md", "how-to/missed-messages.md",
    "how-to/token-streams.md", "how-to/flaky-latency-tests.md",
}  # fmt: skip


def test_every_page_with_python_has_a_test_here() -> None:
    assert {one.page for one in blocks("python")} == COVERED


def options_of(page: str, file: str) -> list[str]:
    """Return the words of the page's command that loads a file, without the file and the host."""
    (text,) = [text for where, text in commands() if where == page and f"-f {file} --headless" in text]
    words = shlex.split(text)[1:]
    for option in ("-f", "--host"):
        place = words.index(option)
        del words[place : place + 2]
    return words


@pytest.mark.parametrize(
    ("page", "file", "shown"),
    [
        ("tutorial/first-scenario.md", "mychat.py", ""),
        ("how-to/coming-from.md", "member.py", "GET status"),
        ("how-to/missed-messages.md", "returning.py", "history"),
    ],
)
def test_a_locustfile_runs_with_its_command(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path, *, page: str, file: str, shown: str
) -> None:
    path = write(tmp_path, page, file, "(ChatUser)" if "coming" not in page else "ChatUser)")
    run = locust("-f", path, "--host", server.url, *options_of(page, file))
    ended = run.stop_once(has_delivered(server, 400, joins=45 if "--churn-per-minute" in options_of(page, file) else 0))
    assert ended.ended_with(0) or ended.code == 99, ended.out + ended.log  # a busy machine may miss a threshold
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0
    assert shown in ended.out


def test_a_user_with_two_sockets_has_two_connections(
    locust: Callable[..., Locust], server: RunningServer, tmp_path: Path
) -> None:
    path = write(tmp_path, "how-to/two-sockets.md", "two_sockets.py", "create_connection")
    run = locust("-f", path, "--host", server.url, *options_of("how-to/two-sockets.md", "two_sockets.py"))
    twice = lambda: server.samples()["chat_connections"] == 100 and has_delivered(server, 200)()  # noqa: E731
    ended = run.stop_once(twice)
    assert ended.ended_with(0), ended.out + ended.log
    assert server.samples()["chat_connections_opened_total"] >= 100
    ledger = ended.ledger()
    assert ledger["received"] == ledger["expected"] > 0


def test_a_stream_of_tokens_is_timed_by_its_pieces(locust: Callable[..., Locust], tmp_path: Path) -> None:
    page = "how-to/token-streams.md"
    path = write(tmp_path, page, "tokens.py", "class Asker")
    port = free_port()
    text = block(page, "python", "serve_forever")
    assert text.count("9100") == 2
    (tmp_path / "model.py").write_text(text.replace("9100", str(port)))
    with subprocess.Popen([sys.executable, str(tmp_path / "model.py")], stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline() == f"streaming on ws://127.0.0.1:{port}\n"
            options = [*options_of(page, "tokens.py"), "-t", "8s"]
            ended = locust("-f", path, "--host", f"ws://127.0.0.1:{port}", *options).wait()
        finally:
            serving.kill()
    assert ended.ended_with(0) or ended.code == 99, ended.out + ended.log
    streamed, answers = ended.requests("STREAM"), ended.requests()
    assert streamed["first token"][0] >= answers["whole answer"][0] > 0
    assert streamed["gap"][0] >= 4 * answers["whole answer"][0]  # five words an answer


def test_the_threshold_of_a_pytest_example_holds(tmp_path: Path, server: RunningServer) -> None:
    text = block("how-to/flaky-latency-tests.md", "python", "load_generator")
    run = run_pytest(
        tmp_path, "--stampede-url", server.url, "-W", "ignore::stampede.LoadGeneratorWarning", test_it=text
    )
    assert (run.code, run.outcomes) == (0, {"passed": 1}), run.out


def test_the_commands_on_local_ports_work_in_a_network_namespace() -> None:
    missing = problem() or next((f"{name} not found" for name in ("sysctl", "ss") if shutil.which(name) is None), "")
    if missing:
        skip_or_fail(missing)
    lines = [text for page, text in commands() if page == "how-to/local-ports.md"]
    assert len(lines) == 3
    done = subprocess.run(
        inside("sh", "-ec", "\n".join([lines[2], lines[0], lines[1]])), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == ["net.ipv4.ip_local_port_range", "=", "50000", "50199"]
    assert int(done.stdout.splitlines()[-1]) >= 0
