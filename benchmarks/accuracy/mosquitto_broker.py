"""Mosquitto with a known limit, which a plugin enforces: `python -m benchmarks.accuracy.mosquitto_broker`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.accuracy.known_limit import parse_limits
from capacity.processes.process import free_port

PLUGIN = Path(__file__).parent / "mosquitto_limit.c"
# Version 2.0.11 starts no listener for WebSockets unless there is a plain one, too.
CONFIGURATION = """
user root
listener 0 {folder}/mosquitto.sock
listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
persistence false
log_dest stderr
log_type error
plugin {folder}/limit.so
plugin_opt_work {work}
plugin_opt_rate {rate}
"""
START_SECONDS = 20


def path_of(program: str, package: str) -> str:
    """Return the path of a program, which may be in a folder for administrators; end this process if it is missing."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return found or sys.exit(f"{program} not found (Debian: apt-get install --no-install-recommends {package})")


def wait_until_listening(broker: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the broker accepts connections; end this process if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while broker.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    broker.kill()
    sys.exit("mosquitto did not start")


def main() -> None:
    """Serve until a signal."""
    options = parse_limits()
    mosquitto = path_of("mosquitto", "mosquitto")
    compiler = path_of("cc", "gcc libc6-dev")
    port = free_port()
    with TemporaryDirectory() as folder:
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", f"{folder}/limit.so", str(PLUGIN)], check=True)  # noqa: S603
        configuration = CONFIGURATION.format(folder=folder, port=port, work=options.work, rate=options.rate)
        (Path(folder) / "mosquitto.conf").write_text(configuration)
        broker = subprocess.Popen([mosquitto, "-c", f"{folder}/mosquitto.conf"])  # noqa: S603
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: broker.terminate())
        wait_until_listening(broker, port)
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        sys.exit(broker.wait())


if __name__ == "__main__":
    main()
