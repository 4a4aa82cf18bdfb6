"""The accounts of the two users of an exchange; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def account_of(number: int, accounts: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the account of a user of a load test, with its name as `user`.

    Args:
        number: of the user.
        accounts: assigned to the users in turn; if empty, a user has only a name.
    """
    account = accounts[number % len(accounts)] if accounts else {}
    return {**account, "user": account.get("user") or f"user-{number:06d}"}


def two_accounts(accounts: Sequence[Mapping[str, str]], first: int = 0) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the accounts of two users, which are those of the users `first` and `first + 1` of a load test."""
    return account_of(first, accounts), account_of(first + 1, accounts)
