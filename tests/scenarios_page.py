"""The locustfiles in `docs/scenarios.md`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def locustfile(folder: Path, user_class: str) -> str:
    """Write the locustfile of the page that defines a user class; return its path."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/scenarios.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if f"class {user_class}(" in block]
    path = folder / "example.py"
    path.write_text(block)
    return str(path)
