"""The JSON schema of a run's summary; pure.

`.venv/bin/python -m stampede.verdict.summary_schema > docs/summary.schema.json` writes the published copy.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from stampede.verdict.summary_fields import SummaryData

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def summary_schema() -> dict[str, Any]:
    """Return the schema of the object that `--summary-json` writes; further fields are allowed."""
    schema = msgspec.json.schema(SummaryData)
    for part in schema["$defs"].values():
        part["description"] = part["description"].partition("\n")[0]
    return {"$schema": _DIALECT, "title": "Summary of a load test", **schema}


if __name__ == "__main__":
    print(json.dumps(summary_schema(), indent=2))
