"""The accounts of users; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def account_of(number: int, accounts: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the account of a user, with its name as `user` and its `number`.

    Args:
        number: of the user in the run.
        accounts: assigned to the users in turn; users share them if there are more users. If there is none, a user has
            only a name and its number.
    """
    account = accounts[number % len(accounts)] if accounts else {}
    return {"number": str(number), **account, "user": account.get("user") or f"user-{number:06d}"}
