"""Describe which addresses of the server's name a run used. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.websocket.addresses import AddressUse


def address_notes(addresses: Sequence[AddressUse]) -> list[str]:
    """Return notes on a name with several addresses; none for a single address."""
    if len(addresses) < 2:
        return []
    used = [f"{one.address} ({one.connections} connections)" for one in addresses if one.connections]
    notes = [f"{len(used)} of the server's {len(addresses)} addresses were used: {', '.join(used) or 'none'}"]
    return notes + [f"address {one.address}: {one.why}, {one.failures} times" for one in addresses if one.failures]
