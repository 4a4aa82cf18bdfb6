"""A native thread that runs a gevent hub, and calls into it from other threads.

No module of Python needs to be patched. In a process that gevent has patched, the thread is a native one, too, and a
caller lets the other greenlets of its own thread run while it waits.

`gevent.event` does not work across threads. The hub is woken by an async watcher, the caller by a lock or by an async
watcher of its own hub.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import gevent
from gevent import get_hub
from gevent.event import Event
from gevent.hub import Waiter
from gevent.monkey import get_original, is_module_patched

from stampede.errors import StampedeError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SIGNAL_SECONDS: Final = 0.5
_CLOSED: Final = "the load generator is closed"

_start_new_thread: Final = get_original("_thread", "start_new_thread")
_allocate_lock: Final = get_original("_thread", "allocate_lock")
_get_ident: Final = get_original("_thread", "get_ident")


class _Signal(Protocol):
    """Wakes one waiting thread or greenlet, once."""

    def send(self) -> None:
        """Wake it, or let its next `wait` return at once."""

    def wait(self) -> None:
        """Wait for `send`."""


class _ThreadSignal:
    """Wakes a native thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._lock.acquire()

    def send(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        # Python handles a signal that arrives just before the lock blocks only when `acquire` returns.
        while not self._lock.acquire(timeout=_SIGNAL_SECONDS):
            pass


class _GreenletSignal:
    """Wakes a greenlet of another hub; the other greenlets of that hub run meanwhile."""

    __slots__ = ("_waiter", "_watcher")

    def __init__(self) -> None:
        self._waiter: Waiter[None] = Waiter()
        self._watcher = get_hub().loop.async_()
        self._watcher.start(self._waiter.switch, None)

    def send(self) -> None:
        self._watcher.send()

    def wait(self) -> None:
        try:
            self._waiter.get()
        finally:
            self._watcher.stop()


def _signal() -> _Signal:
    return _GreenletSignal() if is_module_patched("threading") else _ThreadSignal()


class _Call:
    """A function that a hub thread runs, and its outcome."""

    __slots__ = ("_error", "_function", "_result", "_signal")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._signal = _signal()

    def run(self) -> None:
        """Run the function, and wake the caller."""
        try:
            self._result = self._function()
        except gevent.GreenletExit:
            self._error = StampedeError(_CLOSED)
        except BaseException as error:  # noqa: BLE001 # raised again in the caller
            self._error = error
        self._signal.send()

    def refuse(self) -> None:
        """Let the caller raise that the thread has ended."""
        self._error = StampedeError(_CLOSED)
        self._signal.send()

    def outcome(self) -> Any:
        """Wait for the function; return its result or raise its exception."""
        self._signal.wait()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback refers to this frame
        return self._result


class HubThread:
    """A native thread with a gevent hub; it runs until `stop`."""

    __slots__ = ("_calls", "_ended", "_finished", "_ident", "_lock", "_running", "_stop", "_thread", "_wake")

    def __init__(self) -> None:
        self._lock = _allocate_lock()  # of `_calls` and `_ended`; never held across a switch
        self._calls: deque[_Call] = deque()
        self._ended = False
        self._running: dict[gevent.Greenlet[..., None], _Call] = {}
        self._ident = 0
        self._finished: _Signal | None = None
        self._thread: threading.Thread | None = None
        opened = _Call(self._open)
        if is_module_patched("threading"):  # a `Thread` would be a greenlet
            _start_new_thread(self._run, (opened,))
        else:
            self._thread = threading.Thread(
                target=self._run, args=(opened,), name="stampede-load-generator", daemon=True
            )
            self._thread.start()
        opened.outcome()

    def _open(self) -> None:
        self._stop = Event()
        self._wake = get_hub().loop.async_()
        self._wake.start(self._spawn_calls)
        self._ident = _get_ident()

    def _run(self, opened: _Call) -> None:
        opened.run()
        if not self._ident:
            return
        self._stop.wait()
        with self._lock:
            self._ended = True
            waiting = list(self._calls)
        gevent.killall(list(self._running))
        for call in (*self._running.values(), *waiting):  # killed before they began, or never spawned
            call.refuse()
        self._wake.stop()
        self._wake.close()
        _destroy_hub()
        if self._finished is not None:
            self._finished.send()

    def _spawn_calls(self) -> None:
        while True:
            with self._lock:
                if not self._calls or self._ended:
                    return
                call = self._calls.popleft()
            self._running[gevent.spawn(self._perform, call)] = call

    def _perform(self, call: _Call) -> None:
        try:
            call.run()
        finally:
            del self._running[gevent.getcurrent()]  # type: ignore[arg-type]

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in a greenlet of the hub; return its result or raise its exception.

        A call from the thread itself runs at once.

        Raises:
            StampedeError: the thread has ended.
        """
        if _get_ident() == self._ident and not self._ended:
            return function()
        call = _Call(function)
        with self._lock:
            if self._ended:
                raise StampedeError(_CLOSED)
            self._calls.append(call)
            self._wake.send()
        result: T = call.outcome()
        return result

    def stop(self) -> None:
        """End the thread and its hub; calls in progress raise `StampedeError` in their threads."""
        self._finished = _signal()
        self.call(self._stop.set)
        self._finished.wait()
        if self._thread is not None:
            self._thread.join()


def _destroy_hub() -> None:
    """Destroy the hub of this thread. In gevent 26.9, `destroy` alone keeps its greenlet and all that it refers to."""
    hub = get_hub()
    hub.destroy(destroy_loop=True)
    if not hub.dead:
        hub.throw(gevent.GreenletExit)
