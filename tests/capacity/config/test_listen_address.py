"""The address of the live page: a host and a port, or a port of this machine alone."""

from __future__ import annotations

import pytest

from capacity.config.drill_settings import read_drill_settings
from capacity.config.listen_address import ListenAddress, listen_address
from capacity.config.settings import read_settings
from capacity.config.settings_table import settings_table
from capacity.errors import UsageError

DEFAULT = ListenAddress("127.0.0.1", 8090)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8090", "127.0.0.1", 8090, True),
        ("8091", "127.0.0.1", 8091, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:8090", "::1", 8090, True),
        ("192.0.2.1:80", "192.0.2.1", 80, False),
        ("[::]:80", "::", 80, False),
        ("reports.example:80", "reports.example", 80, False),
    ],
)
def test_a_valid_address(text: str, host: str, port: int, *, is_loopback: bool) -> None:
    address = listen_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
    assert listen_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "127.0.0.1:", ":8090", "host:65536", "::1:80", "http://a:1", "a b:1", "a:-1", "a:1/x"]
)
def test_an_invalid_address_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"argument --web: .* is not an address such as 127\.0\.0\.1:8090"):
        read_settings([f"--web={text}"], {})


def test_the_option_needs_no_value() -> None:
    assert read_settings([], {}).web is None
    assert read_settings(["--web"], {}).web == DEFAULT
    assert read_settings(["--web", "--bounded", "20"], {}).web == DEFAULT
    assert read_settings([], {"STAMPEDE_CAPACITY_WEB": "8091"}).web == ListenAddress("127.0.0.1", 8091)
    drill = read_drill_settings(["--web", "--users", "2", "--run", "true"], {})
    assert drill.run_settings.web == DEFAULT


def test_the_report_does_not_show_where_it_was_served() -> None:
    assert "web" not in settings_table(read_settings(["--web"], {}))
