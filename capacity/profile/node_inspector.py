"""Sample Node.js processes through their inspector, which the user opened with `--inspect`."""

from __future__ import annotations

import contextlib
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from capacity.http_client import HttpError, fetch
from capacity.profile.sampler import ProfileError, process_name, working_directory
from capacity.profile.stacks import CpuProfile, read_cpu_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capacity.profile.stacks import Profile

_SAMPLE_MS: Final = 2.0  # costs the process 2 % of its throughput
_TIMEOUT_S: Final = 10.0
_DISCOVERY_TIMEOUT_S: Final = 1.0
_CLOSE_TIMEOUT_S: Final = 1.0
_DEFAULT_PORT: Final = 9229
_INSPECT: Final = re.compile(r"--inspect(?:-brk|-wait)?(?:=(?:\S*:)?(\d+))?(?=\s|$)")
_NODE: Final = frozenset({"node", "nodejs"})


def is_node(process: psutil.Process) -> bool:
    """Return whether a process runs Node.js."""
    with contextlib.suppress(psutil.Error):
        return PurePath(process.exe()).name in _NODE
    with contextlib.suppress(psutil.Error):
        return process.name() in _NODE
    return False


class _Target(msgspec.Struct, rename={"url": "webSocketDebuggerUrl"}):
    type: str
    url: str = ""


class NodeSampler:
    """Samples one process through its inspector."""

    __slots__ = ("_connection", "_open", "_requests", "_target")

    def __init__(self, target: psutil.Process, connection: ClientConnection, opened: contextlib.ExitStack) -> None:
        """Create a sampler on a connection, which `opened` closes."""
        self._target = target
        self._connection = connection
        self._open = opened
        self._requests = 0

    @classmethod
    def start(cls, target: psutil.Process) -> Self:
        """Connect to the inspector and start its profiler, which samples until `finish`.

        Raises:
            ProfileError: there is no inspector, or it refused.
        """
        url = _debugger_url(target)
        with contextlib.ExitStack() as opened:
            try:
                connection = opened.enter_context(
                    connect(
                        url, open_timeout=_TIMEOUT_S, close_timeout=_CLOSE_TIMEOUT_S, max_size=None, compression=None,
                        proxy=None, ping_interval=None,
                    )
                )  # fmt: skip
            except (OSError, WebSocketException) as error:
                raise _failure(target, error) from None
            sampler = cls(target, connection, opened)
            sampler._request("Profiler.enable")
            sampler._request("Profiler.setSamplingInterval", interval=round(_SAMPLE_MS * 1000))
            sampler._request("Profiler.start")
            sampler._open = opened.pop_all()
        return sampler

    def finish(self) -> Profile:
        """Stop the profiler and return its samples.

        Raises:
            ProfileError: the process has ended.
        """
        result = self._request("Profiler.stop")
        self.close()
        try:
            profile = msgspec.convert(result.get("profile"), CpuProfile)
        except msgspec.ValidationError as error:
            raise _failure(self._target, error) from None
        return read_cpu_profile(profile, folder=working_directory(self._target), sample_ms=_SAMPLE_MS)

    def close(self) -> None:
        """Close the connection, which ends the profiler."""
        self._open.close()

    def _request(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a request of the inspector's protocol and return its result; events before it are skipped."""
        self._requests += 1
        request = {"id": self._requests, "method": method, "params": parameters}
        try:
            self._connection.send(msgspec.json.encode(request).decode())
            while True:
                answer = msgspec.json.decode(self._connection.recv(_TIMEOUT_S), type=dict[str, Any])
                if answer.get("id") == self._requests:
                    break
        except (OSError, WebSocketException, msgspec.MsgspecError) as error:
            raise _failure(self._target, error) from None
        if "error" in answer:
            raise _failure(self._target, f"{method}: {answer['error'].get('message')}")
        return dict(answer.get("result", {}))


def _failure(target: psutil.Process, why: object) -> ProfileError:
    return ProfileError(f"the inspector of {process_name(target)} failed: {why}")


def _debugger_url(process: psutil.Process) -> str:
    """Return the WebSocket URL of a process's inspector.

    Raises:
        ProfileError: it has none.
    """
    for port in _inspector_ports(process):
        url = f"http://127.0.0.1:{port}/json/list"
        with contextlib.suppress(HttpError, msgspec.MsgspecError):
            targets = msgspec.json.decode(fetch(url, timeout_s=_DISCOVERY_TIMEOUT_S), type=list[_Target])
            for target in targets:
                if target.type == "node" and target.url:
                    return target.url
    name, options = process_name(process), _options(process)
    if "--cpu-prof" in options:
        raise ProfileError(
            f"{name} was started with --cpu-prof: it writes its profile when it ends; start it with --inspect instead"
        )
    raise ProfileError(f"{name} has no inspector: start it with node --inspect")


def _options(process: psutil.Process) -> str:
    """Return the command line and NODE_OPTIONS of a process, as far as this user may read them."""
    words: list[str] = []
    with contextlib.suppress(psutil.Error):
        words += process.cmdline()
    with contextlib.suppress(psutil.Error):
        words.append(process.environ().get("NODE_OPTIONS", ""))
    return " ".join(words)


def _inspector_ports(process: psutil.Process) -> Iterator[int]:
    """Return the ports that may be those of the inspector.

    A child of a cluster has another port than its command line says; so all ports count that the process listens on,
    if it was started with an inspector.
    """
    option = _INSPECT.search(_options(process))
    if option is not None:
        yield int(option[1] or _DEFAULT_PORT)
    listening: set[int] = set()
    with contextlib.suppress(psutil.Error):
        connections = process.net_connections("tcp")
        listening = {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    yield from sorted(listening if option is not None else listening & {_DEFAULT_PORT})
