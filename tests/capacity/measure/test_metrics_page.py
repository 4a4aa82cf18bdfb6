from __future__ import annotations

from capacity.measure.metrics_page import samples_of

PAGE = """\
# TYPE sent_count counter
sent_count{type="chat"} 5
# TYPE dropped_total counter
dropped_total 6
# TYPE plain counter
plain 7
untyped 8
"""


def test_samples_have_the_names_that_the_page_has() -> None:
    found = [(sample.name, sample.value) for sample in samples_of(PAGE)]
    assert found == [("sent_count", 5), ("dropped_total", 6), ("plain", 7), ("untyped", 8)]
