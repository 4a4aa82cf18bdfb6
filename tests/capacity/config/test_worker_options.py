"""Options of a run whose load generator is on other machines."""

from __future__ import annotations

import pytest

from capacity.config.settings import read_settings
from capacity.config.settings_table import settings_table
from capacity.errors import UsageError


def test_the_defaults_are_those_of_locust_on_all_interfaces() -> None:
    settings = read_settings(["--expect-workers", "2"], {})
    assert (settings.expect_workers, settings.processes) == (2, None)
    assert (settings.master_bind_host, settings.master_bind_port, settings.worker_timeout) == (None, 5557, 60.0)
    table = settings_table(settings)
    assert (table["expect_workers"], table["master_bind_port"], table["worker_timeout"]) == (2, "5557", 60.0)


def test_a_run_on_one_machine_shows_no_settings_of_workers() -> None:
    table = settings_table(read_settings([], {}))
    assert {table[name] for name in ("expect_workers", "master_bind_host", "master_bind_port", "worker_timeout")} == {
        None
    }


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--expect-workers", "2", "--processes", "2"), "--expect-workers and --processes exclude each other"),
        (("--expect-workers", "2", "--workers-list", "1,2"), "--workers-list starts the load generator several times"),
        (("--master-bind-host", "10.0.0.5"), "--master-bind-host is for --expect-workers N"),
        (("--master-bind-port", "7000"), "--master-bind-port is for --expect-workers N"),
        (("--worker-timeout", "9"), "--worker-timeout is for --expect-workers N"),
        (("--expect-workers", "0"), "'0' is not a whole number of 1 or more"),
        (("--expect-workers", "2", "--master-bind-port", "65536"), "'65536' is not a port from 1 to 65535"),
        (("--expect-workers", "2", "--worker-timeout", "0"), "'0' is not a positive number"),
    ],
)
def test_options_that_exclude_each_other_are_one_line(flags: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(flags, {})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
