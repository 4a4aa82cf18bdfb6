"""The development stack: server, Prometheus, Locust's web UI and, where it is installed, Grafana, wired together.

Everything listens on the loopback only, keeps what it writes in a folder that goes with it, and ends with this
process: by Ctrl-C, by SIGTERM, or because one of them gave way.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.config.invocation import as_started
from capacity.errors import CapacityError, ExitCode, StoppedError, UsageError
from capacity.http_client import HttpError, ask
from capacity.processes.process import free_port
from capacity.processes.process_group import Children

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

CHECKOUT: Final = Path(__file__).resolve().parent.parent
PROMETHEUS: Final = CHECKOUT / "metrics" / "prometheus"
PROVISIONING: Final = CHECKOUT / "grafana" / "provisioning"
GRAFANA_HOME: Final = Path("/usr/share/grafana")
"""Where packages put what Grafana's program needs beside itself."""

_HOST: Final = "127.0.0.1"
_PORTS: Final = {"server": 8080, "locust": 8089, "generator": 9646, "prometheus": 9090, "grafana": 3000}
_START_S: Final = 60.0
_LOOK_S: Final = 5.0
_WATCH_S: Final = 0.5
_STOPS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stack:
    """The processes, in the order in which they were started; leaving it ends them in reverse.

    Args:
        folder: for everything that they write.
        ports: by name, none of them 0.
        grafana_home: its folder, where it is installed.
    """

    folder: Path
    ports: Mapping[str, int]
    grafana_home: Path
    children: Children = field(default_factory=Children)

    def start(self) -> list[tuple[str, str]]:
        """Start everything and return what a person may open: name and URL.

        Raises:
            RunError: one of them ended, or did not answer.
        """
        pages = [("Chat", self._server()), ("Locust", self._locust()), ("Prometheus", self._prometheus())]
        grafana = self._grafana()
        return [*pages, ("Grafana", grafana)] if grafana else pages

    def watch(self) -> None:
        """Wait for as long as all of them run.

        Raises:
            RunError: one of them ended by itself.
        """
        while True:
            self.children.check()
            time.sleep(_WATCH_S)

    def end(self) -> None:
        """End all of them, the last one first."""
        self.children.end()

    def url(self, name: str) -> str:
        """Return where one of them answers."""
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
        """Run Prometheus with the committed files; only what it scrapes is told here."""
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
        """Run Grafana with our dashboards if it is installed; anyone on this machine may look at them."""
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
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",  # nobody can log in, so nobody needs a password
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
        process.wait_until(lambda: _answers(url), timeout_s=_START_S, what=f"answer at {url}")


def _answers(url: str) -> bool | None:
    with contextlib.suppress(HttpError):
        ask(url, timeout_s=_LOOK_S)
        return True
    return None


def check_ports(ports: Mapping[str, int]) -> None:
    """Make sure that all ports are free: another program there would answer in place of what we start.

    Raises:
        UsageError: some are taken.
    """
    taken = [f"{port} (--{name}-port)" for name, port in ports.items() if not _is_free(port)]
    if taken:
        raise UsageError(f"taken: port {', '.join(taken)}: end what listens there, or give another; 0 is any free one")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger are in nobody's way
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack until it is told to end; return 0, or 2 for what is missing, 98 for what gave way."""
    options = _parser().parse_args(arguments)
    for number in _STOPS:
        signal.signal(number, _on_stop)
    try:
        if shutil.which("prometheus") is None:
            raise UsageError("prometheus not found: install it (Debian: apt-get install prometheus)")
        with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
            ports = {name: getattr(options, f"{name}_port") or free_port() for name in _PORTS}
            check_ports({name: port for name, port in ports.items() if name != "grafana" or shutil.which("grafana")})
            _run_until_told(Stack(Path(folder), ports, options.grafana_home))
    except StoppedError:
        return 0
    except CapacityError as error:
        print(f"stack: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _run_until_told(stack: Stack) -> None:
    try:
        pages = stack.start()
        for name, url in pages:
            print(f"{name:<12}{url}")
        if "Grafana" not in dict(pages):
            print("Grafana     not installed; its dashboards are in grafana/")
        print("Ctrl-C ends them all.", flush=True)
        stack.watch()
    finally:
        try:
            stack.end()
        finally:
            stack.end()  # a stop may have come just as the first began; it comes once


def _on_stop(_number: int, _frame: FrameType | None) -> None:
    """Stop in order, once: impatience must not keep us from ending what we started."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise StoppedError("ended", ExitCode.INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=as_started("deploy.stack"), description=__doc__.partition("\n")[0])
    for name, port in _PORTS.items():
        parser.add_argument(f"--{name}-port", type=_port, default=port, help="(%(default)s; 0: any free one)")
    parser.add_argument("--grafana-home", type=Path, default=GRAFANA_HOME, metavar="FOLDER", help="(%(default)s)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
