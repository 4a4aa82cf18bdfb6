"""Makes the HTTP requests that a dialect declares: login, setup and join of rooms, chat messages."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook

from stampede.check.participant import NO_STEPS
from stampede.client.credentials import Credentials
from stampede.websocket.errors import ClientError, ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stampede.client.user_steps import UserSteps
    from stampede.dialects.base import Conversation, Dialect
    from stampede.dialects.http_steps import HttpStep, HttpSteps
    from stampede.pool.interfaces import RoomSetups

_GONE = frozenset({404, 410})


class StepError(ClientError):
    """A request failed.

    Attributes:
        status: HTTP status of the response; 0 without one.
    """

    def __init__(self, label: str, status: int) -> None:
        super().__init__(label)
        self.status = status


class HttpStepRunner:
    """The requests of one user.

    Args:
        steps: of the dialect.
        account: the user's account, with its name as `user`.
        http: returns the user's HTTP client.
        setups: of all users of this process.
    """

    def __init__(
        self,
        steps: HttpSteps,
        account: Mapping[str, str],
        http: Callable[[], FastHttpSession],
        setups: RoomSetups,
    ) -> None:
        self._steps = steps
        self._http = http
        self._setups = setups
        self._values = {**steps.defaults, **account}  # of the placeholders
        self._rooms: dict[str, dict[str, str]] = {}  # values of single rooms
        self._good_until: dict[tuple[str, str], float] = {}  # of logins, by step and room
        self._has_connected = False  # since the last login

    @property
    def post(self) -> Callable[[str, str], bool] | None:
        """Sends a text to a room; None if chat messages go over the connection."""
        return self._say if self._steps.say is not None else None

    def credentials(self, rooms: Sequence[str]) -> Credentials:
        """Log in unless the last login is still good, and set up the rooms; return what to connect with.

        A login that did not lead to a connection is not good any more: its token may have been revoked.

        Raises:
            ClientError: a request failed.
        """
        if not self._has_connected:
            self._good_until.clear()
        self._has_connected = False
        first = {"room": rooms[0]} if rooms else {}
        for step in self._steps.login:
            key = (step.key, first.get("room", "") if "room" in step.names else "")
            if step.expires is None or monotonic() >= self._good_until.get(key, 0.0):
                began = monotonic()
                self._values |= self._request(step, {**self._values, **first})
                if step.expires is not None:
                    self._good_until[key] = began + step.expires
        for room in rooms:
            self._set_up(room)
        values = {**self._values, **(self._rooms[rooms[0]] if rooms else {})}
        cookies = {cookie.name: cookie.value or "" for cookie in self._http().cookiejar}
        return Credentials(cookies=cookies, values=values)

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        """Join a room as far as requests do that; return whether the user is in it then.

        Raises:
            ClientError: a request failed.
        """
        self._has_connected = True
        values = self._set_up(room)
        values |= conversation.saved
        try:
            for step in self._steps.join:
                values |= self._request(step, {**self._values, **values})
        except StepError as error:
            if error.status in _GONE:
                self._setups.pop(room, None)  # the server has lost the room
            raise
        conversation.add_room_values(room, values)
        return self._steps.confirms_joins

    def _say(self, room: str, text: str) -> bool:
        """Send a chat message; return whether the server has accepted it."""
        step = self._steps.say
        if step is None:
            return False
        with suppress(StepError):  # is counted as a failed request
            self._request(step, {**self._values, **self._rooms.get(room, {}), "room": room, "text": text})
            return True
        return False

    def _set_up(self, room: str) -> dict[str, str]:
        """Set up a room, unless another user has done or does that; return the values of the room.

        Raises:
            ClientError: a request failed.
        """
        done = self._setups.get(room)
        if done is None:
            done = self._setups[room] = AsyncResult()
            values = {"room": room}
            try:
                for step in self._steps.setup:
                    values |= self._request(step, {**self._values, **values})
            except BaseException as error:
                if self._setups.get(room) is done:
                    del self._setups[room]
                done.set_exception(error if isinstance(error, ClientError) else ClientError("setup was cut off"))
                raise
            done.set(values)
        values = self._rooms[room] = dict(done.get() or {})
        return values

    def _request(self, step: HttpStep, values: Mapping[str, str]) -> dict[str, str]:
        """Make a request; return what it saves.

        Raises:
            StepError: it failed; Locust has counted it.
        """
        with self._http().request(
            step.method,
            step.url.fill(values),
            name=step.name,
            data=step.body.fill(values).encode() if step.body is not None else None,  # type: ignore[arg-type] # or bytes
            headers={name: value.fill(values) for name, value in step.headers.items()},
            catch_response=True,
        ) as response:
            status = response.status_code
            if not 200 <= status < 300:
                problem = f"HTTP {status}" if status else _reason(response.error)
                response.failure(problem)
                raise _failed(step, problem, status)
            try:
                found = step.read(response.content or b"", response.headers or {}, values)
            except ValueError as error:
                response.failure(str(error))
                raise _failed(step, str(error), status) from None
        return found


def check_steps(
    dialect: Dialect, accounts: tuple[Mapping[str, str], Mapping[str, str]], base_url: str
) -> tuple[UserSteps, UserSteps]:
    """Return what the two users of a check do over HTTP. Their requests are counted nowhere.

    Args:
        dialect: of the server.
        accounts: of the two users.
        base_url: of the requests.
    """
    steps = dialect.http_steps
    if steps is None:
        return NO_STEPS
    setups: RoomSetups = {}

    def runner(account: Mapping[str, str]) -> HttpStepRunner:
        event: Any = EventHook  # Locust does not annotate it
        session = FastHttpSession(base_url, event(), None, max_retries=0)
        return HttpStepRunner(steps, account, lambda: session, setups)

    return runner(accounts[0]), runner(accounts[1])


def _failed(step: HttpStep, problem: str, status: int) -> StepError:
    return StepError(f"{step.name}: {problem}", status)


def _reason(error: BaseException | None) -> str:
    """Return in few words why there was no response."""
    if isinstance(error, OSError) and error.errno:
        return ConnectError.from_os(error).label
    return "no response" if error is None else type(error).__name__
