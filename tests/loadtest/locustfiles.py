"""The schedules of the user classes, without a run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import cast

# Importing a locustfile lets gevent patch the process, so this runs in a process of its own.
_SCRIPT = """
import json, sys
from importlib import import_module
from random import Random
from types import SimpleNamespace

module, name, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
schedule = vars(getattr(import_module(module), name))["schedule"]
chat = SimpleNamespace(say="say", typing="typing")
actions = []
for item in schedule(SimpleNamespace(rng=lambda purpose: Random(f"{seed}/{purpose}"), chat=chat)):
    at, action = item if isinstance(item, tuple) else (item, "act")
    if at > seconds:
        break
    actions.append((at, action))
print(json.dumps(actions))
"""


def scheduled(module: str, user_class: str, seconds: float, seed: int = 1) -> list[tuple[float, str]]:
    """Return the due times and actions of a user in the first seconds: `say`, `typing` or, for its own, `act`."""
    command = [sys.executable, "-c", _SCRIPT, module, user_class, str(seconds), str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [cast("tuple[float, str]", tuple(action)) for action in json.loads(ended.stdout)]
