"""The images of the Dockerfile contain only the files that the server or Locust needs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
import yaml

from tests.clients import ChatClient
from tests.deploy.dockerfile import copied, instructions, stage, stages
from tests.deploy.fixtures import copy_files
from tests.processes import start_server
from tests.stampede.fixtures import FinishedRun
from tests.tables import ROOT
from tests.virtual_environments import build_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.deploy.fixtures import Image
    from tests.processes import RunningServer

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
BUILT = {name: service["build"]["target"] for name, service in SERVICES.items() if "build" in service}
IMAGES = ("server", "locust")
LOAD_GENERATOR = ("locust", "gevent", "flask", "zmq", "psutil")
CAPACITY = ("capacity", "scipy", "numpy", "matplotlib", "rich")
SERVER = ("server", "uvloop", "jwt", "structlog", "nats")


@pytest.fixture
def image(request: pytest.FixtureRequest) -> Callable[[str], Image]:
    return lambda target: request.getfixturevalue(f"{target}_image")


def test_base_images_are_pinned() -> None:
    bases = set(stages().values()) - set(stages())
    assert bases
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)


@pytest.mark.parametrize("target", [*IMAGES, "capacity"])
def test_nothing_runs_as_root_and_kubernetes_can_tell(target: str) -> None:
    (user,) = (argument for name, argument in stage(target) if name == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (created,) = (argument for name, argument in stage(target) if name == "RUN" and "useradd" in argument)
    assert "--uid {} --gid {} stampede".format(*user.split(":")) in created


def test_the_build_context_contains_exactly_what_the_stages_copy() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(allowed) == sorted({source for name in stages() for source in copied(name)})


def test_every_service_with_an_image_of_ours_builds_it() -> None:
    assert set(BUILT.values()) == set(IMAGES)
    assert {name: SERVICES[name]["image"] for name in BUILT} == {
        name: f"stampede-{target}:0.1.0" for name, target in BUILT.items()
    }
    assert list(stages())[-1] == "server", "the default of docker build"
    assert instructions()[-1].argument == '["python", "-m", "server", "--host", "0.0.0.0"]'


@pytest.mark.parametrize("name", BUILT)
def test_the_image_of_a_service_runs_its_command(name: str, image: Callable[[str], Image]) -> None:
    """Run each command with --help, which imports all its packages."""
    module, *flags = SERVICES[name]["command"].removeprefix("python -m ").split()
    module = module.replace("locust", "stampede.locust")  # whose help has the options of the load test
    done = image(BUILT[name]).run("-m", module, *flags, "--help")
    assert done.returncode == 0, done.stderr
    for flag in (word for word in flags if word.startswith("--")):
        assert flag in done.stdout


def test_two_users_chat_on_the_server_image(
    server_image: Image, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert server_image.importable(*SERVER, *LOAD_GENERATOR, *CAPACITY, "jinja2", "loadtest") == {*SERVER}
    assert server_image.run("--version", program="nats-server").returncode == 0, "for --workers"
    server = start_server(
        *("--upload-dir", str(tmp_path), "--drain-seconds", "0"),
        python=server_image.venv.python,
        folder=server_image.folder,
    )
    try:
        with ChatClient(server.url) as ann, ChatClient(server.url) as bob:
            for client, name in ((ann, "ann"), (bob, "bob")):
                client.send("setUsername", username=name)
                client.send("joinRoom", room="lobby")
                client.until_pong()
            ann.send("chatMessage", text="hello")
            ann.until_pong()
            assert [message["text"] for message in bob.until_pong() if message["type"] == "chatMessage"] == ["hello"]
        assert server.samples()["chat_connections_opened_total"] == 2
    finally:
        server.stop()
    record_property("proved", f"the server image installs {len(server_image.venv.packages())} packages")


def test_the_locust_image_runs_the_load_test(locust_image: Image, server: RunningServer) -> None:
    others = ("metrics", "grafana", "benchmarks", *SERVER, *CAPACITY)
    assert locust_image.importable(*LOAD_GENERATOR, *others) == {*LOAD_GENERATOR}
    flags = ("--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "2s", "--rooms", "1")
    done = locust_image.run("-f", "loadtest", "--host", server.url, *flags, program="locust")
    run = FinishedRun(done.returncode, done.stdout, done.stderr)
    assert run.ended_with(0), done.stderr
    assert run.ledger()["received"] > 0


def test_the_capacity_image_runs_a_capacity_run(capacity_image: Image, server: RunningServer, tmp_path: Path) -> None:
    assert capacity_image.importable("capacity", "loadtest", "server", "metrics", "grafana") == {"capacity", "loadtest"}
    flags = ("--bounded", "2", "--room-size", "2", "--window", "1", "--settle", "1", "--slo", "deliver_p99<60s")
    output = ("--report", str(tmp_path), "--runs", "")
    done = capacity_image.run("-m", "capacity", "--host", server.url, "--processes", "1", *flags, *output)
    assert done.returncode in (0, 98), done.stderr  # 98: a busy machine
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "complete"


def test_the_wheel_of_the_image_is_that_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    (command,) = (argument for name, argument in stage("wheel") if name == "RUN" and "pip" in argument)
    assert command == "pip wheel --no-cache-dir --no-deps --wheel-dir /wheels ."
    source = tmp_path / "source"
    source.mkdir()
    copy_files("wheel", source)
    build_wheel(source, tmp_path)
    assert ZipFile(tmp_path / wheel.name).namelist() == ZipFile(wheel).namelist()
