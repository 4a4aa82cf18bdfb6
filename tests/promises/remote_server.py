"""Run a command against a server on another host, without metrics on its public port.

Usage: `python -m tests.promises.remote_server COMMAND...`; `{url}` in the command is the server's URL. The host is a
network namespace, which ends with this process.
"""

from __future__ import annotations

import subprocess
import sys
from tempfile import TemporaryDirectory

from tests.promises.hosts import Host, Switch

PORT = "8080"


def main(command: list[str]) -> int:
    """Run the command; return its exit code."""
    with TemporaryDirectory() as folder, Host(Switch(1)) as host:
        address = host.addresses[0]
        flags = ["--host", address, "--port", PORT, "--metrics-port", "9100", "--upload-dir", folder]
        server = subprocess.Popen(host.command(sys.executable, "-m", "server", *flags), stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            url = f"ws://{address}:{PORT}"
            return subprocess.run([part.format(url=url) for part in command], check=False).returncode
        finally:
            server.terminate()
            server.communicate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
