"""The messages that tasks wait for."""

from __future__ import annotations

import pytest

from stampede.client.replies import Replies
from stampede.websocket.errors import LostError


def test_the_end_of_the_connection_names_its_reason_to_the_tasks_that_wait() -> None:
    replies = Replies()
    closed, dropped = replies.expect(lambda _: True), replies.expect(lambda _: True)
    replies.cancel(dropped)
    replies.end(LostError(1008, "banned"))
    with pytest.raises(LostError, match="1008 banned"):
        replies.wait(closed, 60)
    dropped = replies.expect(lambda _: True)
    replies.end()
    with pytest.raises(LostError, match="1006"):
        replies.wait(dropped, 60)
