"""Explain in one line why Locust did not start, from its output. Pure."""

from __future__ import annotations

import re
from typing import Final

_USAGE: Final = "error: "
_LOG_PREFIX: Final = re.compile(r"\[[^\]]*\] \S+/[A-Z]+/\S+: ")
_UNKNOWN_CLASSES: Final = re.compile(r"Unknown User\(s\): (.+)")


def explain_start_failure(output: str, locustfile: str, *, is_usage: bool) -> str:
    """Return why Locust has exited.

    Args:
        output: of Locust.
        locustfile: file or folder of the user classes.
        is_usage: whether its exit code says that an option is unusable.
    """
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no output")
    if is_usage:
        return last.partition(_USAGE)[2] or last
    text = _LOG_PREFIX.sub("", last)
    name = locustfile.rpartition("/")[2]
    if unknown := _UNKNOWN_CLASSES.match(text):
        return f"--mix: no user class {unknown[1]} in {name}"
    lines = re.findall(rf'File "{re.escape(locustfile)}", line (\d+)', output)
    return f"--locustfile {name}: {text}{f' (line {lines[-1]})' if lines else ''}"
