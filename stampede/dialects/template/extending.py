"""A file that extends a preset: it gives only the keys that differ; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTENDS: Final = "extends"

_HTTP: Final = "http"
_SEND: Final = "send"
_OF_THE_FILE: Final = frozenset({EXTENDS, "name"})


def extended(content: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file together with that of the preset that it extends.

    A key of the file replaces that of the preset. Of a table such as `[say]`, the file replaces single keys, unless
    only one of the two sends over HTTP. A list of tables such as `[[join]]` is replaced as a whole, since its steps
    belong together. The preset's name is not used.
    """
    own = {name: value for name, value in content.items() if name != EXTENDS}
    inherited = {name: value for name, value in preset.items() if name not in _OF_THE_FILE}
    return inherited | {name: _merged(value, inherited.get(name)) for name, value in own.items()}


def _merged(own: Any, inherited: Any) -> Any:
    if not isinstance(own, dict) or not isinstance(inherited, dict):
        return own
    is_other_way = (_HTTP in own and _SEND in inherited) or (_SEND in own and _HTTP in inherited)
    return own if is_other_way else inherited | own
