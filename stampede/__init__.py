"""Stampede: load tests for chat servers. The public API.

    from locust import between, task
    from stampede import ChatUser

Names are imported on first use. `import stampede` alone therefore neither imports Locust nor patches the standard
library; the first use of `ChatUser` or `ScheduledUser` does both, as `import locust` does. `LoadGenerator` does
neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stampede.client.client import ChatClient as ChatClient
    from stampede.client.credentials import Credentials as Credentials
    from stampede.dialects.base import Dialect as Dialect
    from stampede.dialects.base import Feature as Feature
    from stampede.errors import JoinError as JoinError
    from stampede.errors import LoadGeneratorWarning as LoadGeneratorWarning
    from stampede.errors import StampedeError as StampedeError
    from stampede.generator.load_generator import LoadGenerator as LoadGenerator
    from stampede.locust.users import ChatUser as ChatUser
    from stampede.locust.users import ScheduledUser as ScheduledUser
    from stampede.workload.backoff import Backoff as Backoff
    from stampede.workload.backoff import Policy as Policy
    from stampede.workload.schedule import poisson as poisson
    from stampede.workload.schedule import rate as rate

_MODULES: Final = {
    "Backoff": "stampede.workload.backoff",
    "ChatClient": "stampede.client.client",
    "ChatUser": "stampede.locust.users",
    "Credentials": "stampede.client.credentials",
    "Dialect": "stampede.dialects.base",
    "Feature": "stampede.dialects.base",
    "JoinError": "stampede.errors",
    "LoadGenerator": "stampede.generator.load_generator",
    "LoadGeneratorWarning": "stampede.errors",
    "Policy": "stampede.workload.backoff",
    "ScheduledUser": "stampede.locust.users",
    "StampedeError": "stampede.errors",
    "poisson": "stampede.workload.schedule",
    "rate": "stampede.workload.schedule",
}

__all__ = [
    "Backoff",
    "ChatClient",
    "ChatUser",
    "Credentials",
    "Dialect",
    "Feature",
    "JoinError",
    "LoadGenerator",
    "LoadGeneratorWarning",
    "Policy",
    "ScheduledUser",
    "StampedeError",
    "poisson",
    "rate",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
