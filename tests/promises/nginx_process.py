"""A real nginx with the committed configuration."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.metrics.fixtures import skip_or_fail, wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
SECONDS = 60
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes {workers};
{main}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/stampede.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx; `port` accepts TLS."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def workers(self) -> set[int]:
        """Process ids of all workers, including old ones."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def reload(self) -> set[int]:
        """Reload nginx; return the process ids of the old workers, which accept no new clients any more."""
        before = self.workers
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(self.workers - before) and all(map(_is_ending, self.workers & before)), "new workers")
        return before


@contextmanager
def nginx(folder: Path, backend: str, *, prefix: bool = False, main: str = "", workers: int = 1) -> Iterator[Nginx]:
    """Run nginx with the configuration.

    Args:
        folder: directory for its files; contains the certificate.
        backend: host and port of the server.
        prefix: use the locations below /chat/ instead of those at the root.
        main: directives to add to the main context.
        workers: number of workers.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        skip_or_fail("nginx not found: install it (Debian: apt-get install --no-install-recommends nginx-light)")
    port = free_port()
    text = below_prefix(CONFIGURATION.read_text()) if prefix else CONFIGURATION.read_text()
    assert text.count("listen 8443 ssl ") == text.count("server 127.0.0.1:8080;") == 1
    text = text.replace("listen 8443 ssl ", f"listen 127.0.0.1:{port} ssl ")
    text = text.replace("server 127.0.0.1:8080;", f"server {backend};")
    text = text.replace("/var/log/nginx", str(folder))
    (folder / "stampede.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, main=main, workers=workers))
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        _wait_for(port, process, folder)
        yield Nginx(port, process)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def _is_ending(worker: int) -> bool:
    try:
        return "shutting down" in " ".join(psutil.Process(worker).cmdline())
    except psutil.NoSuchProcess:
        return True


def below_prefix(text: str) -> str:
    """Return the configuration with the locations of its last comment instead of those at the root."""
    head, comment = text.split("    # Below a prefix")
    settings, _ = head.split("    location = /metrics {")
    offered = [line.removeprefix("    #") for line in comment.splitlines() if line.startswith("    #")]
    (first,) = (number for number, line in enumerate(offered) if "location /chat/ {" in line)
    return settings + "\n".join(offered[first:]) + "\n}\n"


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
        except ConnectionRefusedError:
            assert process.poll() is None, (folder / "nginx.log").read_text()
        else:
            return
