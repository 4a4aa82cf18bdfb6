"""Structures with histograms as JSON values, and back; pure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from stampede.measure.log_linear_histogram import LogLinearHistogram

T = TypeVar("T")


def to_builtins(value: object) -> Any:
    """Return a structure that contains histograms as JSON values."""
    return msgspec.to_builtins(value, enc_hook=_to_sparse)


def encode_json(value: object) -> bytes:
    """Return a structure that contains histograms as JSON."""
    return msgspec.json.encode(value, enc_hook=_to_sparse)


def from_builtins(value: object, kind: type[T]) -> T:
    """Return the structure of type `kind` that `to_builtins` returned as JSON values.

    Raises:
        msgspec.ValidationError: the values do not have that type.
    """
    return msgspec.convert(value, kind, dec_hook=_from_sparse)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Return the structure of type `kind` in a JSON text.

    Raises:
        msgspec.MsgspecError: the text is not JSON, or does not have that type.
    """
    return msgspec.json.decode(body, type=kind, dec_hook=_from_sparse)


def _to_sparse(value: Any) -> dict[str, object]:
    if isinstance(value, LogLinearHistogram):
        return value.to_sparse()
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _from_sparse(kind: type, value: Any) -> Any:
    if kind is LogLinearHistogram and isinstance(value, dict):
        return LogLinearHistogram.from_sparse(value)
    raise ValueError("not a sparse log-linear histogram")
