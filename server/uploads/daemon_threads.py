"""A thread pool for disk access that never delays the end of the process.

`asyncio.to_thread` and `concurrent.futures.ThreadPoolExecutor` use threads that the interpreter joins at exit. A disk
that stops answering would keep the process alive. The threads of this pool are daemon threads.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class RunInThread(Protocol):
    """Run a blocking function in a thread and return its result."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


class DaemonThreadPool(Executor):
    """An executor for `loop.run_in_executor`.

    Args:
        max_workers: number of threads; each of the first calls starts one.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function in one of the threads and return the future of its result."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: fn(*args, **kwargs)))
        if len(self._threads) < self._max_workers:
            thread = threading.Thread(target=self._work, name=f"disk-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - the caller gets it from the future
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del future, call  # an idle thread keeps no upload in memory
