"""The accounts that users log in with: rows of a CSV file, or tokens."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_accounts(path: str) -> tuple[Mapping[str, str], ...]:
    """Return the rows of a CSV file whose first line names the columns.

    Raises:
        ValueError: the file cannot be read or has no rows; the text says why.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = reader.fieldnames or []
    except UnicodeDecodeError:
        raise ValueError("not a text file in UTF-8") from None
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except csv.Error as error:
        raise ValueError(f"not a CSV file: {error}") from None
    if not all(columns) or len(set(columns)) < len(columns):
        raise ValueError("the first line must name each column once, such as user,password")
    if not rows:
        raise ValueError("expected a line with the names of the columns, and a line for each account")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"line {number}: expected {len(columns)} values, as many as columns")
    return tuple(rows)
