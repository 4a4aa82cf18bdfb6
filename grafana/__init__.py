"""Dashboards as code: `python -m grafana.build` writes the JSON that Grafana is provisioned with."""

from __future__ import annotations

import warnings

# Classic dashboards are the only form that Grafana's file provisioning takes (11 to 13); the first import of their
# modules, here, raises a deprecation warning (grafana-foundation-sdk 0.0.21).
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.heatmap  # noqa: F401 - imported for its first time only
