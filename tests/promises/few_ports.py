"""Run a command against a server in a network namespace with few local ports.

Usage: `python -m tests.promises.few_ports PORTS COMMAND...`; `{url}` in the command is the server's URL. The
namespace is removed when this process exits.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import start_server

FIRST_PORT = 40_000


def main(ports: int, command: list[str]) -> int:
    """Run the command; return its exit code."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{FIRST_PORT} {FIRST_PORT + ports - 1}")
    with TemporaryDirectory() as folder:
        server = start_server("--port", "8080", "--upload-dir", folder, "--drain-seconds", "0")
        try:
            return subprocess.run([part.format(url=server.url) for part in command], check=False).returncode
        finally:
            server.kill()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
