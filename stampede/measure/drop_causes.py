"""The reasons for which the load generator drops a connection on purpose."""

from __future__ import annotations

from typing import Final

STORM_USER: Final = "storm_user"
"""A `ReconnectStormUser` drops its connection at each storm period."""

STORM: Final = "storm"
"""A storm on command dropped it."""

CHURN: Final = "churn"
"""Background churn dropped it."""

DROP_CAUSES: Final = (STORM_USER, STORM, CHURN)
