"""Clients for another thread: their methods run in the thread of the load generator."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import wraps
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from stampede.client.client import ChatClient

    Run = Callable[[Callable[[], Any]], Any]


def for_other_threads(client: ChatClient, run: Run) -> ChatClient:
    """Return an object with the public methods and properties of a client, which run in its thread.

    Latencies begin when the method is called, not when the thread runs it. After the end of the thread, properties
    keep their last values.

    Args:
        client: in the load generator's thread.
        run: runs a function in that thread, returns its result and raises its exception.
    """
    return cast("ChatClient", _ClientProxy(client, run))  # the type checker sees the signatures of `ChatClient`


class _ClientProxy:
    __slots__ = ("_client", "_run")

    def __init__(self, client: ChatClient, run: Run) -> None:
        self._client = client
        self._run = run

    def __getattr__(self, name: str) -> Any:
        client, run = self._client, self._run
        defined = getattr(type(client), name, None)
        if name.startswith("_") or defined is None:
            raise AttributeError(f"a chat client has no attribute {name!r}")
        if not callable(defined):
            try:
                return run(lambda: getattr(client, name))
            except StampedeError:
                return getattr(client, name)
        method = getattr(client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            called = monotonic_ns()
            result = run(lambda: _at(client, called, lambda: method(*args, **kwargs)))
            return _BlockInOtherThread(result, client, run) if isinstance(result, AbstractContextManager) else result

        return call

    def __dir__(self) -> Iterator[str]:
        return (name for name in dir(type(self._client)) if not name.startswith("_"))

    def __repr__(self) -> str:
        client = self._client
        where = f"in {client.room!r}" if client.is_connected else "not connected"
        return f"<ChatClient {client.username} {where}>"


def _at(client: ChatClient, due: int, method: Callable[[], Any]) -> Any:
    """Run a method of a client as one that was due at a moment, in monotonic nanoseconds."""
    client.due = due
    try:
        return method()
    finally:
        client.due = 0


class _BlockInOtherThread:
    """A `with` block of this thread, whose begin and end run in the thread of the load generator."""

    __slots__ = ("_client", "_manager", "_run")

    def __init__(self, manager: AbstractContextManager[Any], client: ChatClient, run: Run) -> None:
        self._manager = manager
        self._client = client
        self._run = run

    def __enter__(self) -> Any:
        called = monotonic_ns()
        return self._run(lambda: _at(self._client, called, self._manager.__enter__))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return bool(self._run(lambda: self._manager.__exit__(kind, error, traceback)))
