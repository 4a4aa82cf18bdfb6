"""One table of settings: flags before environment before defaults; nonsense is one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import Settings, parse, table


def test_flags_win_over_the_environment_which_wins_over_defaults() -> None:
    environment = {"STAMPEDE_PORT": "7000", "STAMPEDE_HOST": "::1", "STAMPEDE_UPLOAD_DIR": "files"}
    settings = parse(["--port", "9000"], environment)
    assert settings.port == 9000
    assert settings.host == "::1"
    assert settings.upload_dir == Path("files")
    assert settings.heartbeat_interval == Settings().heartbeat_interval == 30


FIXED_FLAGS = (  # noqa: SIM905 - people and scripts rely on these
    "--host --port --metrics-port --work-per-message --upload-dir --heartbeat-interval --heartbeat-timeout "
    "--drain-seconds --max-connections --max-connections-per-address --message-rate --allowed-origin "
    "--presence-threshold --tls-cert --tls-key --log-level"
).split()


def test_every_setting_has_a_flag_and_an_environment_name() -> None:
    assert set(FIXED_FLAGS) <= {row.flag for row in table()}
    assert all(row.environment == "STAMPEDE_" + row.flag[2:].replace("-", "_").upper() for row in table())


def test_repeated_settings_add_up() -> None:
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
def test_nonsense_ends_in_one_line_that_names_it_and_exit_code_2(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(flags, {})
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert flags[0] in told.err.splitlines()[-1]
    assert told.out == ""


def test_nonsense_ends_the_program_too() -> None:
    done = subprocess.run([sys.executable, "-m", "server", "--port", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_help_names_every_setting() -> None:
    done = subprocess.run([sys.executable, "-m", "server", "--help"], capture_output=True, text=True, check=True)
    for row in table():
        assert row.flag in done.stdout
        assert row.environment in done.stdout
