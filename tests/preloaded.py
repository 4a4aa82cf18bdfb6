"""Processes that start without the cost of their imports: forked from a process that has imported the program.

The imports of Locust cost 0.4 s of CPU, those of the server 0.2 s. The tests start hundreds of both. One template for
each program imports it once; each process is a fork of it, with its own arguments, streams and session. With another
environment, folder or command it is an ordinary process. Some tests always start the real command.

    python -m tests.preloaded FD MODULE...
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

_SERVER: Final = ("server.app", "server.settings", "uvloop")
IMPORTS: Final = {
    "locust": ("locust.main", "stampede.locust.users"),
    "server": _SERVER,
    "tests.promises.faulty_server": ("websockets.asyncio.server", "websockets.exceptions", "statistics"),
    "tests.promises.with_constants": _SERVER,
}
"""What a template imports, by the module that its forks run."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_REQUEST_BYTES: Final = 1 << 17
# Locust's import replaces these functions by gevent's, which need its event loop.
_fork, _waitpid, _close = os.fork, os.waitpid, os.close
_lock = threading.Lock()


def popen(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start a command as `subprocess.Popen` does, with text streams; fork a template if possible."""
    python, option, module = command[:3]
    is_known = (python, option) == (sys.executable, "-m") and module in IMPORTS
    if is_known and options.get("cwd") is None and _environment() == usual_environment():
        return Fork(command, text=True, **options)
    return subprocess.Popen(command, text=True, **options)


@cache
def usual_environment() -> dict[str, str]:
    """Return the environment of the templates: that of the first call."""
    return _environment()


def _environment() -> dict[str, str]:
    """Return the environment variables and the folder; pytest sets one variable for each test."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return variables | {"PWD": str(Path.cwd())}


class _Template:
    """A process that has imported a program and forks on request."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._channel, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with remote:
            command = [sys.executable, "-m", "tests.preloaded", str(remote.fileno()), *modules]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=usual_environment(), pass_fds=[remote.fileno()]
            )

    def fork(self, command: Sequence[str], streams: Sequence[int], *, new_session: bool) -> int:
        """Return the process ID of a new process that runs the command; it is a child of this process."""
        request = json.dumps({"command": command, "new_session": new_session}).encode()
        # The fork's parent ends at once. This process then becomes its parent, and can wait for it.
        _adopt_orphans(enabled=True)
        try:
            socket.send_fds(self._channel, [request], streams)
            return int(self._channel.recv(64))
        finally:
            _adopt_orphans(enabled=False)

    def end(self) -> None:
        self._channel.close()
        self._process.wait()


@cache
def _template(modules: Sequence[str]) -> _Template:
    template = _Template(modules)
    atexit.register(template.end)
    return template


def _adopt_orphans(*, enabled: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Fork(subprocess.Popen[str]):
    """A process that a template has forked; everything but its start is as with any other process."""

    def _execute_child(self, *arguments: Any) -> None:
        """Replace fork and exec; the parameters are those of CPython 3.11 to 3.14."""
        command, pipes, new_session = arguments[0], arguments[10:16], arguments[21]
        inherited = (number if pipe == -1 else pipe for number, pipe in enumerate((pipes[0], pipes[3], pipes[5])))
        with _lock:  # tests start servers in threads, too
            template = _template(IMPORTS[command[2]])
            self.pid = template.fork(command, list(inherited), new_session=bool(new_session))
        self._child_created = True
        super()._close_pipe_fds(*pipes)  # type: ignore[misc] # private, as is the method that this one replaces


# --- in the template ---


def main() -> NoReturn:
    """Import the modules; fork for each request until the other end of the channel is closed."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()  # a fork then copies fewer pages
    while True:
        request, streams, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, 3)
        if not request:
            sys.exit()
        if _is_fork(channel):
            channel.close()
            _run(streams, **json.loads(request))
        for stream in streams:
            _close(stream)


def _is_fork(channel: socket.socket) -> bool:
    """Fork twice, so that the fork has no parent; send its process ID; return whether this process is the fork."""
    read, write = os.pipe()
    parent = _fork()
    if not parent:
        if fork := _fork():
            os.write(write, str(fork).encode())
            os._exit(0)
        _close(read)
        _close(write)
        return True
    _close(write)
    _waitpid(parent, 0)
    channel.send(os.read(read, 64))
    _close(read)
    return False


def _run(streams: Sequence[int], *, command: list[str], new_session: bool) -> NoReturn:
    """Run the command's module in this process, which then exits."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        _close(stream)
    if new_session:
        os.setsid()
    if "gevent" in sys.modules:
        sys.modules["gevent"].reinit()
    sys.orig_argv = command
    sys.argv = command[2:]
    runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
