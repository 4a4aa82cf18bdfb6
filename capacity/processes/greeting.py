"""Check with one handshake that a server implements the chat protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from capacity.errors import UsageError
from capacity.formatting import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_S: Final = 5.0
_HINT: Final = "is this a Stampede server? For other servers use --dialect"
_SHOWN_CHARACTERS: Final = 60


def check_greeting(url: str, headers: Sequence[tuple[str, str]]) -> None:
    """Connect to a WebSocket URL and read the first message, which must be `connected`.

    Raises:
        UsageError: no server listens there, the upgrade is refused, or the first message is another one.
    """
    kind, first = None, ""
    try:
        with connect(
            url, additional_headers=headers, open_timeout=_TIMEOUT_S, proxy=None, compression=None
        ) as connection:
            first = str(connection.recv(timeout=_TIMEOUT_S))
            message = json.loads(first)
            kind = message.get("type") if isinstance(message, dict) else None
    except TimeoutError:
        raise UsageError(f"{url} sent no greeting within {_TIMEOUT_S:.0f} s; {_HINT}") from None
    except ConnectionClosed as error:
        raise UsageError(f"{url} closed the connection before any greeting ({error}); {_HINT}") from None
    except OSError as error:
        raise UsageError(f"no server at {url}: {error_text(error)}") from None
    except WebSocketException as error:
        raise UsageError(f"the server at {url} refused the WebSocket: {error}") from None
    except ValueError:
        pass  # not JSON, so not the greeting
    if kind != "connected":
        raise UsageError(f"{url} sent {first[:_SHOWN_CHARACTERS]!r} instead of a greeting; {_HINT}")
