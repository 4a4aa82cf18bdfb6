"""The error of a file that describes a dialect."""

from __future__ import annotations

from stampede.errors import StampedeError


class TemplateError(StampedeError):
    """A file is unusable; the text is one line with the file, the key and what is expected."""

    def __init__(self, file: str, key: str, text: str) -> None:
        super().__init__(": ".join(filter(None, (file, key, " ".join(text.split())))))
