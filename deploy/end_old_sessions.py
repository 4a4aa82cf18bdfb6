"""Close the connections of HAProxy's old workers after a reload, one after the other, so that reconnects are spread.

    python3 deploy/end_old_sessions.py /run/haproxy-master.sock --seconds 60

Start HAProxy with `-W -S /run/haproxy-master.sock`. This script needs only Python's standard library.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import time

_OLD = re.compile(r"^# old workers$(.*?)^# ", re.MULTILINE | re.DOTALL)
_PROCESS = re.compile(r"^(\d+)\s", re.MULTILINE)
_SESSION = re.compile(r"^(0x[0-9a-f]+): .*\bfe=clients\b", re.MULTILINE)


def ask(path: str, command: str) -> str:
    """Send a command to the master process and return its answer."""
    with socket.socket(socket.AF_UNIX) as master:
        master.connect(path)
        master.sendall(command.encode() + b"\n")
        master.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: master.recv(65536), b"")).decode()


def old_sessions(path: str) -> list[tuple[str, str]]:
    """Return process id of the worker and session id of each client of an old worker."""
    found = _OLD.search(ask(path, "show proc") + "# ")
    workers = _PROCESS.findall(found[1]) if found else []
    return [(worker, session) for worker in workers for session in _SESSION.findall(ask(path, f"@!{worker} show sess"))]


def main() -> int:
    """Close the connections; return the exit code: 0, or 2 if the master process does not answer."""
    parser = argparse.ArgumentParser(description="Close the connections of HAProxy's old workers one after the other.")
    parser.add_argument("socket", help="socket of the master process, given to haproxy with -S")
    parser.add_argument("--seconds", type=float, default=60.0, help="time over which the connections are closed (60)")
    options = parser.parse_args()
    try:
        sessions = old_sessions(options.socket)
        print(f"closing {len(sessions)} connections of old workers over {options.seconds:g} s", flush=True)
        for number, (worker, session) in enumerate(sessions):
            if number:
                time.sleep(options.seconds / len(sessions))
            ask(options.socket, f"@!{worker} shutdown session {session}")
    except OSError as error:
        print(f"{options.socket}: {error.strerror}; is haproxy started with -W -S {options.socket}?", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
