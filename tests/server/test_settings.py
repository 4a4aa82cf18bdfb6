"""Settings come from options, the environment and defaults; an invalid value ends with one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import Settings, parse, table


def test_options_override_the_environment_which_overrides_defaults() -> None:
    environment = {"STAMPEDE_PORT": "7000", "STAMPEDE_HOST": "::1", "STAMPEDE_UPLOAD_DIR": "files"}
    settings = parse(["--port", "9000"], environment)
    assert settings.port == 9000
    assert settings.host == "::1"
    assert settings.upload_dir == Path("files")
    assert settings.heartbeat_interval == Settings().heartbeat_interval == 30


FIXED_FLAGS = (  # noqa: SIM905 - users and scripts rely on these options
    "--host --port --metrics-port --work-per-message --upload-dir --heartbeat-interval --heartbeat-timeout "
    "--drain-seconds --max-connections --max-connections-per-address --message-rate --allowed-origin "
    "--presence-threshold --tls-cert --tls-key --log-level"
).split()


def test_every_setting_has_a_flag_and_an_environment_name() -> None:
    assert set(FIXED_FLAGS) <= {row.flag for row in table()}
    assert all(row.environment == "STAMPEDE_" + row.flag[2:].replace("-", "_").upper() for row in table())


def test_repeatable_settings_collect_their_values() -> None:
    settings = parse(["--allowed-origin", "https://a.example", "--allowed-origin", "https://*.b.example"], {})
    assert settings.allowed_origin == ("https://a.example", "https://*.b.example")
    assert parse([], {"STAMPEDE_ALLOWED_ORIGIN": "[https://a.example,https://c.example]"}).allowed_origin == (
        "https://a.example",
        "https://c.example",
    )
    assert parse([], {}).trusted_proxy == ()


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "70000"],
        ["--port", "http"],
        ["--work-per-message", "-1"],
        ["--heartbeat-timeout", "nan"],
        ["--log-level", "loud"],
        ["--trusted-proxy", "everyone"],
        ["--require-origin", "maybe"],
        ["--tls-cert", "cert.pem"],
        ["--no-such-flag"],
        ["--por", "1"],
    ],
)
def test_an_invalid_value_ends_in_one_line_that_names_it_and_exit_code_2(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(flags, {})
    assert ended.value.code == 2
    error = capsys.readouterr()
    assert flags[0] in error.err.splitlines()[-1]
    assert error.out == ""


def error_line(flags: list[str], environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error line of invalid settings."""
    with pytest.raises(SystemExit) as ended:
        parse(flags, environment)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].partition(": error: ")[2]


@pytest.mark.parametrize(
    ("flags", "environment", "error"),
    [
        (["--port", "http"], {}, "--port: 'http' is not a port (0 to 65535)"),
        (["--port", "1"], {"STAMPEDE_METRICS_PORT": "x"}, "STAMPEDE_METRICS_PORT: 'x' is not a port (0 to 65535)"),
        (["--message-rate", "fast"], {}, "--message-rate: 'fast' is not a rate (a number of 0 or more)"),
        (["--chat-rate", "often"], {}, "--chat-rate: 'often' is not a rate (a number of 0 or more)"),
        (
            [],
            {"STAMPEDE_CHAT_RATE_TOTAL": "-1"},
            "STAMPEDE_CHAT_RATE_TOTAL: '-1' is not a rate (a number of 0 or more)",
        ),
        ([], {"STAMPEDE_HANDSHAKE_RATE": "-1"}, "STAMPEDE_HANDSHAKE_RATE: '-1' is not a rate (a number of 0 or more)"),
        (["--slow-timeout", "x"], {}, "--slow-timeout: 'x' is not a number of seconds (0 or more)"),
        (["--max-uploads", "1.5"], {}, "--max-uploads: '1.5' is not a whole number of 0 or more"),
        ([], {"STAMPEDE_WORKERS": "0"}, "STAMPEDE_WORKERS: '0' is not a whole number of 1 or more"),
        ([], {"STAMPEDE_LOG_LEVEL": "loud"}, "STAMPEDE_LOG_LEVEL: 'loud' is not one of debug, info, warning, error"),
        (
            ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "10.0.0.1/8"],
            {},
            "--trusted-proxy: '10.0.0.1/8' is not a network in CIDR notation, such as 10.0.0.0/8",
        ),
        ([], {"STAMPEDE_ECHO": "off?"}, "STAMPEDE_ECHO: 'off?' is neither yes nor no"),
        (
            [],
            {"STAMPEDE_TLS_KEY": "key.pem"},
            "STAMPEDE_TLS_KEY requires --tls-cert; see docs/how-to/tls-and-tokens.md",
        ),
        (
            ["--jwt-audience", "chat"],
            {},
            "--jwt-audience requires --jwt-secret-file; see docs/how-to/tls-and-tokens.md",
        ),
    ],
)
def test_an_error_names_the_option_or_the_variable(
    flags: list[str], environment: dict[str, str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_line(flags, environment, capsys) == error


def test_the_error_for_a_variable_that_kubernetes_sets_names_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    error = error_line([], {"STAMPEDE_METRICS_PORT": "tcp://10.0.0.7:9100"}, capsys)
    assert error.startswith("STAMPEDE_METRICS_PORT: 'tcp://10.0.0.7:9100' is not a port")
    assert "Kubernetes" in error
    assert "enableServiceLinks: false" in error
    assert parse(["--metrics-port", "9100"], {"STAMPEDE_METRICS_PORT": "tcp://10.0.0.7:9100"}).metrics_port == 9100


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (["--nats", "http://ann:secret@bus:4222"], {}),
        (["--nats", "nats://ann:secret@bus:x"], {}),
        ([], {"STAMPEDE_NATS": "nats://secret@bus:0"}),
        (["--natz", "nats://ann:secret@bus"], {}),
        (["--port", "ws://ann:secret@bus/?token=secret"], {}),
        (["nats://ann:secret@bus"], {}),
    ],
)
def test_no_error_shows_a_secret(
    flags: list[str], environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_line(flags, environment, capsys)
    assert "secret" not in error
    assert "://***@bus" in error


def test_an_empty_variable_counts_as_unset() -> None:
    assert parse([], {"STAMPEDE_PORT": "", "STAMPEDE_NATS": "", "STAMPEDE_TRUSTED_PROXY": ""}) == Settings()


def test_echo_and_notifications_can_be_turned_off() -> None:
    settings = parse(["--echo", "no", "--echo-rate", "5"], {"STAMPEDE_NOTIFICATIONS": "no"})
    assert (settings.echo, settings.echo_rate, settings.notifications) == (False, 5.0, False)
    assert (Settings().echo, Settings().echo_rate, Settings().notifications) == (True, 1000.0, True)


def test_an_invalid_value_ends_the_program_with_exit_code_2() -> None:
    done = subprocess.run([sys.executable, "-m", "server", "--port", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_help_names_every_setting() -> None:
    done = subprocess.run([sys.executable, "-m", "server", "--help"], capture_output=True, text=True, check=True)
    for row in table():
        assert row.flag in done.stdout
        assert row.environment in done.stdout
