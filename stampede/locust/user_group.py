"""The users of a process, as Locust stops them: tasks are finished first, and the highest places stop first.

Rooms then become empty one after the other, instead of all thinning out together. Locust 2.47 stops the users of a
class in the order in which it finds them in `runner.user_greenlets`, which is a set.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.pool import Group
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust import User
    from locust.runners import LocalRunner, WorkerRunner

_POLL_SECONDS: Final = 0.02
_QUIT_SECONDS: Final = 10.0
"""How long the end of a test waits for the user that ends it; its task may catch `StopUser` and go on."""


class UserGroup(Group):
    """The greenlets of the users, highest place first; a user without a place comes before all others."""

    def __iter__(self) -> Iterator[Any]:
        """Return the greenlets in the order in which Locust must stop them."""
        return iter(sorted(self.greenlets, key=_place, reverse=True))

    def finish_tasks(self, seconds: float) -> None:
        """Stop the users that are in a task, each after its task; kill those that take longer than `seconds`.

        Users that wait between two tasks stay. The greenlet that calls this may be a task, which is not waited for.
        """
        deadline = monotonic() + seconds
        while busy := list(self._users_in_a_task()):
            if monotonic() > deadline:
                gevent.joinall([gevent.spawn(user.stop, force=True) for user in busy])
                return
            for user in busy:
                if user._state == LOCUST_STATE_RUNNING:  # noqa: SLF001 # Locust has no public name for it
                    user.stop()
            gevent.sleep(_POLL_SECONDS)

    def _users_in_a_task(self) -> Iterator[User]:
        caller = gevent.getcurrent()
        for greenlet in self:
            if greenlet.args and greenlet is not caller:
                user: User = greenlet.args[0]
                if user._state in (LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING):  # noqa: SLF001
                    yield user


def quit_from_tasks(runner: LocalRunner | WorkerRunner) -> None:
    """Let tasks call `runner.quit()`: their own user stops, and then another greenlet ends the test.

    Locust 2.47 kills the calling user in the middle of `quit`, and then runs forever if there are other users. It would
    also kill a user that is in `on_stop` already.
    """
    quit_runner = runner.quit

    def quit_in_another_greenlet() -> None:
        caller: Any = gevent.getcurrent()
        if caller not in runner.user_greenlets:
            quit_runner()
            return
        gevent.spawn(quit_after, caller)
        raise StopUser

    def quit_after(caller: gevent.Greenlet[..., Any]) -> None:
        caller.join(_QUIT_SECONDS)
        quit_runner()

    runner.quit = quit_in_another_greenlet  # type: ignore[method-assign]


def _place(greenlet: Any) -> float:
    place = getattr(greenlet.args[0], "place", None) if greenlet.args else None
    return float("inf") if place is None else place
