"""What went wrong, in fields for the log: kind and place of an exception, never what a client sent.

An exception's own text may quote the value that caused it. Only the system's errors, which name a reason and a file,
and our own, whose texts are fixed, are quoted.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final

from server.errors import StampedeError

_FRAMES: Final = 8


def exception_fields(error: BaseException) -> dict[str, str]:
    """Return `error` (the type's name), `detail` where it is safe to tell, `where` (innermost first), and `origin`."""
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
