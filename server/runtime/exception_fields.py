"""Log fields that describe an exception without quoting client data.

The text of an exception may quote the value that caused it. Only two kinds of text are logged: errors of the operating
system, which name a reason and a file, and Stampede's own errors, whose texts are constant.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final

from server.errors import StampedeError

_FRAMES: Final = 8


def exception_fields(error: BaseException) -> dict[str, str]:
    """Return the log fields of an exception.

    Returns:
        `error` (type), `detail` (text, if safe), `where` (frames, innermost first), `origin` (type of its cause).
    """
    fields = {"error": type(error).__name__}
    if isinstance(error, OSError) and error.strerror:
        fields["detail"] = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    elif isinstance(error, StampedeError):
        fields["detail"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    if frames:
        fields["where"] = " < ".join(
            f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
        )
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if origin is not None:
        fields["origin"] = type(origin).__name__
    return fields
