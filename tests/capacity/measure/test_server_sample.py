"""Read a metrics page of the server."""

from __future__ import annotations

from capacity.measure.series import Series
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


FOREIGN = """\
# TYPE process_cpu_user_seconds_total counter
process_cpu_user_seconds_total 3
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 4
# TYPE node_clients gauge
node_clients{namespace="/"} 3
node_clients{namespace="/admin"} 4
# TYPE node_messages_sent_count counter
node_messages_sent_count{type="publication"} 50
node_messages_sent_count{type="join"} 6
# TYPE nodejs_eventloop_lag_p99_seconds gauge
nodejs_eventloop_lag_p99_seconds 0.125
# TYPE loop_delay_seconds histogram
loop_delay_seconds_bucket{le="0.1"} 4
loop_delay_seconds_bucket{le="+Inf"} 9
loop_delay_seconds_sum 1
loop_delay_seconds_count 9
# TYPE chat_connections gauge
chat_connections 99
"""


def test_a_dialect_names_the_series_of_another_exporter() -> None:
    names = Series(
        {
            "connections": "node_clients",
            "messages_delivered": "node_messages_sent_count",
            "event_loop_lag_seconds": "nodejs_eventloop_lag_p99_seconds",
            "event_loop_lag": "loop_delay_seconds",
        }
    )
    sample = parse_metrics(FOREIGN, 1.0, names)
    assert (sample.connections, sample.delivered, sample.cpu_seconds) == (7, 56, 4)
    assert (sample.lag_s, sample.lag_buckets) == (0.125, {0.1: 4, float("inf"): 9})
    assert (sample.dropped, sample.kills, sample.rss_bytes) == (None, None, None)
    own = parse_metrics(FOREIGN, 1.0)
    assert (own.connections, own.delivered, own.lag_s, own.lag_buckets) == (99, None, None, None)
