"""Read a metrics page of the server."""

from __future__ import annotations

from capacity.measure.server_sample import ServerSample, parse_metrics

PAGE = """\
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 12.5
# TYPE process_open_fds gauge
process_open_fds 120
# TYPE chat_messages_dropped counter
chat_messages_dropped_total{type="userTyping",reason="slow"} 3
chat_messages_dropped_total{type="chatMessage",reason="slow"} 4
chat_messages_dropped_total{type="userLeft",reason="closed"} 535
# TYPE chat_event_loop_lag_seconds histogram
chat_event_loop_lag_seconds_bucket{le="0.001"} 0
chat_event_loop_lag_seconds_bucket{le="0.1"} 100
chat_event_loop_lag_seconds_bucket{le="+Inf"} 100
chat_event_loop_lag_seconds_count 100
chat_event_loop_lag_seconds_sum 5
"""


def test_a_page_is_summed_over_labels_and_missing_series_are_none() -> None:
    sample = parse_metrics(PAGE, at_s=1.0)
    assert (sample.cpu_seconds, sample.fds, sample.dropped) == (12.5, 120, 7)
    assert sample.kills is None
    assert sample.rss_bytes is None


def test_a_page_of_another_program_has_no_figures() -> None:
    sample = parse_metrics("up 1\n", at_s=1.0)
    assert sample == ServerSample(at_s=1.0, page_at_s=1.0)
