"""The services of compose.yaml as processes in a network namespace; test_compose_live.py runs this program in it.

Each container has a loopback address. A DNS server at the engine's address resolves the service names. HAProxy and
Prometheus use the files, environment and options that compose.yaml gives them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

from benchmarks.http_client import urlopen
from tests.deploy.conftest import Balancer, haproxy
from tests.server.cluster.fixtures import BINARY
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
NATS, BALANCER, PROMETHEUS = "127.2.0.1", "127.2.0.2", "127.2.0.3"
DNS = "127.0.0.11"
TIMEOUT_SECONDS = 120


class Stage:
    """The running processes and their names in DNS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes = ExitStack()
        self._dns: subprocess.Popen[bytes] | None = None
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        (self._folder / "resolv.conf").write_text(f"nameserver {DNS}\n")
        for command in (["ip", "link", "set", "lo", "up"], _over(self._folder / "resolv.conf", "/etc/resolv.conf")):
            subprocess.run(command, check=True)
        self._name()
        flags = ["--no-daemon", "--no-resolv", "--no-hosts", f"--addn-hosts={self._folder}/hosts", "--local-ttl=1"]
        self._dns = self._start(["dnsmasq", *flags, f"--listen-address={DNS}", "--bind-interfaces", "--user=root"])
        self._start([str(BINARY), "--addr", NATS, *SERVICES["nats"]["command"]])
        wait_until(lambda: _fetch(f"http://{NATS}:8222/healthz"))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._processes.close()

    def scale(self, number: int) -> None:
        """Run this number of servers, like `docker compose up --scale server=NUMBER`."""
        wanted = [f"127.1.0.{index}" for index in range(1, number + 1)]
        _, _, *flags = shlex.split(SERVICES["server"]["command"])
        flags = [flag for flag in flags if flag not in ("--host", "0.0.0.0")]  # noqa: S104 - replaced here
        for address in [address for address in wanted if address not in self._servers]:
            uploads = ["--upload-dir", str(self._folder / address), "--drain-seconds", "0"]
            command = [sys.executable, "-m", *flags, "--host", address, *uploads]
            command = [word.replace("nats://nats:", f"nats://{NATS}:") for word in command]
            self._servers[address] = self._start(command)
            wait_until(partial(_fetch, f"http://{address}:8080/health"))
        self._name(*wanted)
        for address in [address for address in self._servers if address not in wanted]:
            server = self._servers.pop(address)
            server.terminate()
            server.wait()

    def balance(self) -> Balancer:
        """Start the balancer. Only its listening address differs from compose.yaml: all services share one network."""
        environment = {**SERVICES["balancer"]["environment"], "BALANCER_LISTEN": f"{BALANCER}:8080"}
        source, _, _ = SERVICES["balancer"]["volumes"][0].split(":")
        self._start([haproxy(), "-W", "-f", str(ROOT / source)], environment)
        return Balancer(f"{BALANCER}:8080", environment["BALANCER_STATUS"])

    def watch(self) -> str:
        """Start Prometheus and return its URL."""
        flags = [flag for flag in SERVICES["prometheus"]["command"] if flag.startswith("--config.file")]
        (configuration,) = (flag.replace("/etc/stampede", str(ROOT / "metrics")) for flag in flags)
        data = f"--storage.tsdb.path={self._folder}/data"
        listen = f"--web.listen-address={PROMETHEUS}:9090"
        self._start(["prometheus", configuration, data, listen, "--log.level=error"])
        return f"http://{PROMETHEUS}:9090"

    def _name(self, *servers: str) -> None:
        (self._folder / "hosts").write_text("".join(f"{address} server\n" for address in servers))
        if self._dns is not None:
            self._dns.send_signal(signal.SIGHUP)

    def _start(self, command: list[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=os.environ | dict(environment or {}), cwd=ROOT, stdout=sys.stderr)
        self._processes.callback(process.wait)
        self._processes.callback(process.terminate)
        return process


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for(number: int, count: Callable[[], int]) -> None:
    wait_until(lambda: count() == number)


def _over(source: Path, target: str) -> list[str]:
    return ["mount", "--bind", str(source), target]


def _fetch(url: str) -> bytes:
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read()) or b" "
    except (OSError, urllib.error.HTTPError):
        return b""


def up(balancer: Balancer) -> int:
    """Return the number of servers to which the balancer sends clients."""
    page = _fetch(f"{balancer.status}/metrics").decode()
    return sum(
        line.startswith('haproxy_server_status{proxy="healthy"') and 'state="UP"} 1' in line
        for line in page.splitlines()
    )


def scraped(prometheus: str) -> int:
    """Return the number of server processes that Prometheus scrapes."""
    query = urllib.parse.urlencode({"query": 'count(chat_connections{job="chat"}) or vector(0)'})
    answer = _fetch(f"{prometheus}/api/v1/query?{query}")
    return int(json.loads(answer)["data"]["result"][0]["value"][1]) if answer else 0


def main() -> None:
    """Scale up and down and check that the balancer and Prometheus follow."""
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        stage.scale(SERVICES["server"]["deploy"]["replicas"])
        balancer, prometheus = stage.balance(), stage.watch()
        for number in (2, 3, 1):
            stage.scale(number)
            wait_for(number, partial(up, balancer))
            assert _fetch(f"{balancer.http}/health") == b"OK"
            if number != 1:  # Prometheus keeps the last samples of a removed server for minutes
                wait_for(number, partial(scraped, prometheus))
            print(f"{number} servers: the balancer and Prometheus found them")


if __name__ == "__main__":
    main()
