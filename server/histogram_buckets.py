"""Bucket bounds of histograms that only the server has: inclusive upper bounds, ascending, without +Inf.

`server/stats.py` counts in these buckets, and `metrics/catalog.py` assigns them to metrics.
`stampede/metrics/histogram_buckets.py` has the bounds of latencies.
"""

from __future__ import annotations

from typing import Final

RECIPIENT_BOUNDS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Recipients of one room message."""

SESSION_BOUNDS: Final = (1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400)
"""Seconds; from 1 s to a day."""

UPLOAD_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds; from 10 ms to 5 minutes."""
