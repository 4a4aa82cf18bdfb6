"""The live page of a run, as the run sees it: a process to which messages are sent without waiting for it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from capacity.config.invocation import CHECKOUT
from capacity.errors import UsageError
from capacity.formatting import error_text
from capacity.processes.cores import pinned
from capacity.web.messages import End, NewReport, Progress, encode
from capacity.web.process import LAST_REPORT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from capacity.config.listen_address import ListenAddress
    from capacity.record.report import RunReport

_BACKLOG: Final = 128
_EXIT_S: Final = LAST_REPORT_S + 3.0


class LivePage:
    """The live page of a run.

    A thread sends the latest message of each kind. So the run never waits for the page, however slow it is.
    """

    def __init__(self, address: ListenAddress) -> None:
        """Reserve the address; connections wait until `start`.

        Raises:
            UsageError: the address is in use, or not one of this machine.
        """
        self._socket = _listen(address)
        self.address = replace(address, port=self._socket.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._changed = threading.Condition()
        self._unsent: dict[type, bytes] = {}
        self._sender: threading.Thread | None = None
        self._end = End("The run has ended.")

    @property
    def url(self) -> str:
        """Where the page is."""
        host = self.address.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = socket.gethostname()
        return f"http://{replace(self.address, host=host)}/"

    def start(self, title: str, cores: Sequence[int]) -> None:
        """Start to serve the page of a run with this title, on these cores. Does nothing if it is served already."""
        if self._process is not None:
            return
        number = self._socket.fileno()
        reading, writing = os.pipe()
        options = ["--socket", str(number), "--address", str(self.address), "--title", title]
        with pinned(cores):
            # A separate session: Ctrl-C at the terminal must not end the page before the run.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, arguments never pass a shell
                [sys.executable, "-m", "capacity.web.process", *options],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd=CHECKOUT,
                pass_fds=[number],
                start_new_session=True,
            )
        os.close(reading)
        self._socket.close()
        self._sender = threading.Thread(target=self._send, args=(os.fdopen(writing, "wb"),), daemon=True)
        self._sender.start()

    def show_progress(self, progress: Progress) -> None:
        """Show what the run does now."""
        self._post(Progress, encode(progress))

    def show_report(self, make: Callable[[], RunReport]) -> None:
        """Show the report that `make` returns; the process of the page calls it."""
        self._post(NewReport, encode(NewReport(make)))

    def set_end(self, end: End) -> None:
        """Set what the page shows at the end."""
        self._end = end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Show the end of the run, and wait a little until connected pages have it."""
        self._socket.close()
        if self._process is None or self._errors.closed:
            self._errors.close()
            return
        self._post(End, encode(self._end))
        try:
            self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    @property
    def problem(self) -> str | None:
        """Why the page has ended before the run; None if it has not."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return None
        if code < 0:
            return f"the live page was ended by {signal.Signals(-code).name}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the live page has ended early: {lines[-1] if lines else f'exit code {code}'}"

    def _post(self, kind: type, message: bytes) -> None:
        """Replace the unsent message of the same kind. Nothing is sent after the end."""
        with self._changed:
            self._unsent[kind] = message
            self._changed.notify()

    def _send(self, target: BinaryIO) -> None:
        """Send the latest messages, up to the end of the run, or of the process."""
        with contextlib.suppress(OSError), target as pipe:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._unsent))
                    unsent, self._unsent = self._unsent, {}
                # At the end, earlier messages are of no use any more.
                for message in [unsent[End]] if End in unsent else unsent.values():
                    pipe.write(message)
                pipe.flush()
                if End in unsent:
                    return


def _listen(address: ListenAddress) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        UsageError: that is not possible.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # a port whose last connections are still being closed is free
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        free = f"; --web {replace(address, port=0)} takes a free port" if error.errno == errno.EADDRINUSE else ""
        raise UsageError(f"--web {address}: {error_text(error)}{free}") from None
    except UnicodeError:
        raise UsageError(f"--web {address}: not a host name") from None
    return listening
