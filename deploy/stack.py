"""The development stack: server, Prometheus, Locust's web UI and, if it is installed, Grafana, connected to each other.

All processes listen on loopback only and write to a temporary directory. They end with this process: after Ctrl-C or
SIGTERM, or when one of them exits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.config.invocation import CHECKOUT, command_line
from capacity.errors import CapacityError, InterruptedRunError, UsageError
from capacity.http_client import HttpError, fetch
from capacity.processes.child_processes import ChildProcesses
from capacity.processes.process import free_port
from capacity.signals import Interrupts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROMETHEUS: Final = CHECKOUT / "metrics" / "prometheus"
PROVISIONING: Final = CHECKOUT / "grafana" / "provisioning"
GRAFANA_HOME: Final = Path("/usr/share/grafana")
"""Grafana's home directory in Linux packages."""

_HOST: Final = "127.0.0.1"
_PORTS: Final = {"server": 8080, "locust": 8089, "generator": 9646, "prometheus": 9090, "grafana": 3000}
_START_SECONDS: Final = 60.0
_REQUEST_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 0.5


@dataclass(slots=True)
class Stack:
    """The processes of the stack.

    Args:
        folder: directory for all files that they write.
        ports: port of each process by name; none is 0.
        grafana_home: Grafana's home directory.
    """

    folder: Path
    ports: Mapping[str, int]
    grafana_home: Path
    children: ChildProcesses = field(default_factory=ChildProcesses)

    def start(self) -> list[tuple[str, str]]:
        """Start all processes and return the name and URL of each web page.

        Raises:
            RunError: a process ended or did not answer in time.
        """
        pages = [("Chat", self._server()), ("Locust", self._locust()), ("Prometheus", self._prometheus())]
        grafana = self._grafana()
        return [*pages, ("Grafana", grafana)] if grafana else pages

    def watch(self) -> None:
        """Wait while all processes run.

        Raises:
            RunError: a process exited.
        """
        while True:
            self.children.check()
            time.sleep(_WATCH_SECONDS)

    def end(self) -> None:
        """End all processes, the last one first."""
        self.children.end()

    def url(self, name: str) -> str:
        """Return the base URL of a process."""
        return f"http://{_HOST}:{self.ports[name]}"

    def _server(self) -> str:
        uploads = str(self.folder / "uploads")
        command = (sys.executable, "-m", "server", "--host", _HOST, "--port", str(self.ports["server"]))
        self._run("the server", (*command, "--upload-dir", uploads, "--drain-seconds", "0"), self.url("server"))
        return self.url("server")

    def _locust(self) -> str:
        command = (
            *(sys.executable, "-m", "locust", "-f", "loadtest", "--host", f"ws://{_HOST}:{self.ports['server']}"),
            *("--web-host", _HOST, "--web-port", str(self.ports["locust"])),
            *("--prometheus-port", str(self.ports["generator"])),
        )
        self._run("Locust", command, self.url("locust"))
        return self.url("locust")

    def _prometheus(self) -> str:
        """Run Prometheus with the files in metrics/prometheus and the targets of this stack."""
        folder = self.folder / "prometheus"
        shutil.copytree(PROMETHEUS, folder)
        for job, name in (("chat", "server"), ("loadtest", "generator")):
            target = [{"targets": [f"{_HOST}:{self.ports[name]}"]}]
            (folder / "targets" / f"{job}.yml").write_text(json.dumps(target))  # JSON is YAML
        url = self.url("prometheus")
        command = (
            *("prometheus", f"--config.file={folder / 'loadtest.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
            *(f"--web.listen-address={_HOST}:{self.ports['prometheus']}", f"--web.external-url={url}"),
            *(f"--web.user-assets={PROMETHEUS.parent}", "--log.level=warn"),
        )
        self._run("Prometheus", command, f"{url}/-/ready")
        return url

    def _grafana(self) -> str:
        """Run Grafana with our dashboards, without login, if it is installed; return its URL or an empty string."""
        program = shutil.which("grafana")
        if program is None or not self.grafana_home.is_dir():
            return ""
        url, data = self.url("grafana"), self.folder / "grafana"
        settings = {
            "GF_SERVER_HTTP_ADDR": _HOST,
            "GF_SERVER_HTTP_PORT": str(self.ports["grafana"]),
            "GF_PATHS_DATA": str(data),
            "GF_PATHS_LOGS": str(data / "log"),
            "GF_PATHS_PLUGINS": str(data / "plugins"),
            "GF_PATHS_PROVISIONING": str(PROVISIONING),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",  # no login, so no default password
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "PROMETHEUS_URL": self.url("prometheus"),
            "DASHBOARDS": str(CHECKOUT / "grafana" / "dashboards"),
        }
        command = ("env", *(f"{name}={value}" for name, value in settings.items()), program, "server")
        self._run("Grafana", (*command, f"--homepath={self.grafana_home}"), f"{url}/api/health")
        return url

    def _run(self, name: str, command: Sequence[str], url: str) -> None:
        log = self.folder / f"{name.rpartition(' ')[2].lower()}.log"
        process = self.children.start(name, command, output=log, cwd=CHECKOUT, cores=())
        process.wait_until(lambda: _answers(url), timeout_s=_START_SECONDS, what=f"answer at {url}")


def _answers(url: str) -> bool | None:
    with contextlib.suppress(HttpError):
        fetch(url, timeout_s=_REQUEST_SECONDS)
        return True
    return None


def check_ports(ports: Mapping[str, int]) -> None:
    """Check that all ports are free: another program on one of them would answer instead of ours.

    Raises:
        UsageError: some ports are in use.
    """
    used = [f"{port} (--{name}-port)" for name, port in ports.items() if not _is_free(port)]
    if used:
        raise UsageError(f"in use: port {', '.join(used)}: stop the program there, or choose another port (0: any)")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack until a signal ends it; return the exit code: 0, 2 for a usage error, 98 for a failed process."""
    options = _parser().parse_args(arguments)
    interrupts = Interrupts()
    interrupts.enable()
    try:
        if shutil.which("prometheus") is None:
            raise UsageError("prometheus not found: install it (Debian: apt-get install prometheus)")
        with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
            ports = {name: getattr(options, f"{name}_port") or free_port() for name in _PORTS}
            check_ports({name: port for name, port in ports.items() if name != "grafana" or shutil.which("grafana")})
            _run_until_stopped(Stack(Path(folder), ports, options.grafana_home), interrupts)
    except InterruptedRunError:
        return 0
    except CapacityError as error:
        print(f"stack: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _run_until_stopped(stack: Stack, interrupts: Interrupts) -> None:
    try:
        pages = stack.start()
        for name, url in pages:
            print(f"{name:<12}{url}")
        if "Grafana" not in dict(pages):
            print("Grafana     not installed; the dashboards are in grafana/")
        print("Ctrl-C ends all of them.", flush=True)
        stack.watch()
    finally:
        try:
            interrupts.defer()  # a signal before this is raised here once, and defers later ones
        finally:
            stack.end()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=command_line("deploy.stack"), description=__doc__.partition("\n")[0])
    for name, port in _PORTS.items():
        parser.add_argument(f"--{name}-port", type=_port, default=port, help="(%(default)s; 0: any free port)")
    parser.add_argument("--grafana-home", type=Path, default=GRAFANA_HOME, metavar="FOLDER", help="(%(default)s)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
