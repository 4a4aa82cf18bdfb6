"""Deals the users of each room over the addresses of the server; pure.

A server of several instances must deliver between any two of them, so the users of each room are spread evenly over all
addresses, and so are those of each class: the senders of a room must not all be connected to one address.

A room belongs to one process, so no process needs to know the users of another.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class AddressDeal:
    """The users of one process by address.

    Args:
        first: index of the address at which the deal begins; another one in each process of a test.
    """

    __slots__ = ("_first", "_turns", "_users")

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._turns: dict[str, int] = {}  # room -> its number in the order of their first users
        self._users: Counter[tuple[str, ...]] = Counter()  # address, with or without room and user class -> users

    def choose(self, addresses: Sequence[str], rooms: Sequence[str], user_class: str) -> str:
        """Return the address for a new user: the one with the fewest users of its rooms.

        Among equal ones, this is the one with the fewest users of its class in these rooms, then the one with the
        fewest users of this process, and then the next one in turn. Each room begins at another address.
        """
        turn = self._first + (self._turns.setdefault(rooms[0], len(self._turns)) if rooms else 0)
        users = self._users

        def rank(index: int) -> tuple[int, ...]:
            address = addresses[index]
            return (
                sum(users[address, room] for room in rooms),
                sum(users[address, room, user_class] for room in rooms),
                users[(address,)],
                (index - turn) % len(addresses),
            )

        return addresses[min(range(len(addresses)), key=rank)]

    def count(self, users: int, address: str, rooms: Sequence[str], user_class: str) -> None:
        """Count users that connect to an address from now on; a negative number of users no longer does."""
        self._users[(address,)] += users
        for room in rooms:
            self._users[address, room] += users
            self._users[address, room, user_class] += users


class UserAddress:
    """The address that one user is dealt, and keeps over its reconnects.

    Attributes:
        address: label of the address; empty until the user connects.
    """

    __slots__ = ("_deal", "_rooms", "_user_class", "address")

    def __init__(self, deal: AddressDeal, user_class: str) -> None:
        self._deal = deal
        self._user_class = user_class
        self._rooms: Sequence[str] = ()
        self.address = ""

    def choose(self, addresses: Sequence[str], rooms: Sequence[str]) -> str:
        """Return the address to try first: the same one as before, if it may answer and the rooms are the same.

        Args:
            addresses: labels of those that may answer.
            rooms: of the user.
        """
        if self.address not in addresses or self._rooms != rooms:
            self.release()
            self._move(self._deal.choose(addresses, rooms, self._user_class), rooms)
        return self.address

    def connected(self, address: str, addresses: Sequence[str]) -> None:
        """Keep the address that was reached in place of the own one, if that has never answered.

        Args:
            address: label of the address that was reached.
            addresses: labels of those that may answer.
        """
        if self.address not in addresses:
            rooms = self._rooms
            self.release()
            self._move(address, rooms)

    def _move(self, address: str, rooms: Sequence[str]) -> None:
        self.address, self._rooms = address, rooms
        self._deal.count(1, address, rooms, self._user_class)

    def release(self) -> None:
        """Give up the address; another user may have it."""
        if self.address:
            self._deal.count(-1, self.address, self._rooms, self._user_class)
            self.address, self._rooms = "", ()
