"""The root of all exceptions of the library."""

from __future__ import annotations


class StampedeError(Exception):
    """Root of the exceptions that the library raises. The text is one line for the user."""


class JoinError(StampedeError):
    """A user could not connect, or could not join its room; the text has the address and the reason.

    Attributes:
        label: the reason in few and fixed words, such as `HTTP 401` or `connection refused`.
    """

    def __init__(self, label: str, text: str) -> None:
        super().__init__(text)
        self.label = label


class ThresholdError(StampedeError, AssertionError):
    """A threshold of a test is not met or unmeasured, or the load generator was the limit."""


class LoadGeneratorWarning(UserWarning):
    """The load generator or its machine was at a limit, so the measured latencies include its own delay."""
