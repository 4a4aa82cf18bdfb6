"""The populations whose percentiles `alternating_user.py` prints, apart from it: a locustfile is imported by nobody."""

from __future__ import annotations

from typing import Final

EVERYONE: Final = "everyone"
OF_THEM: Final = "of them"
"""The drawn tenth, in the turns in which everyone is timed."""

BATCHED: Final = "batched"
"""The drawn tenth, while the others are read in batches."""
