"""Structures with histograms survive JSON."""

from __future__ import annotations

import msgspec
import pytest

from stampede.measure.figures import Latency
from stampede.measure.serialization import decode_json, encode_json, from_builtins, to_builtins
from tests.figures import histogram


def test_a_structure_with_histograms_is_read_as_it_was_written() -> None:
    written = Latency(histogram(5, 80), histogram())
    for read in (decode_json(encode_json(written), Latency), from_builtins(to_builtins(written), Latency)):
        assert (read.intended.counts, read.intended.total) == (written.intended.counts, written.intended.total)
        assert read.sent.count == 0


@pytest.mark.parametrize("body", [b'{"intended": 5}', b'{"intended": {"total": "x", "buckets": {}}}', b"[]", b"{"])
def test_a_text_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_json(body, Latency)


def test_an_unknown_type_has_no_json_form() -> None:
    with pytest.raises(NotImplementedError, match=r"^object has no JSON form$"):
        encode_json(object())
