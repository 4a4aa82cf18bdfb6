"""One timer ends every connection whose time has passed, and no other."""

from __future__ import annotations

import asyncio

from server.http.deadlines import Deadlines

SECONDS = 0.02


class Connection:
    """A connection that notes when its deadline passed."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def time_out(self) -> None:
        self.ended.set()


def test_connections_end_at_their_deadline_unless_it_is_discarded() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        start = loop.time()
        first, discarded, last = Connection(), Connection(), Connection()
        deadlines.add(first, SECONDS)
        deadlines.add(discarded, SECONDS)
        deadlines.discard(discarded)
        await asyncio.sleep(SECONDS / 2)
        added = loop.time()
        deadlines.add(last, SECONDS)
        await first.ended.wait()
        assert loop.time() >= start + SECONDS
        await last.ended.wait()
        assert loop.time() >= added + SECONDS
        assert not discarded.ended.is_set()

    asyncio.run(run())


def test_a_deadline_added_after_all_others_have_passed_is_met() -> None:
    async def run() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        for _ in range(2):
            connection = Connection()
            deadlines.add(connection, SECONDS)
            await connection.ended.wait()
            deadlines.discard(connection)

    asyncio.run(run())


def test_a_connection_may_discard_others_while_its_own_deadline_passes() -> None:
    async def run() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        first, second = Connection(), Connection()

        class Closing(Connection):
            def time_out(self) -> None:
                deadlines.discard(second)
                super().time_out()

        closing = Closing()
        for each in (first, closing, second):
            deadlines.add(each, SECONDS)
        await closing.ended.wait()
        assert first.ended.is_set()

    asyncio.run(run())
