from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING

import pytest

from capacity.cli.main import main
from capacity.config.settings import read_settings
from capacity.errors import UsageError
from capacity.model.mix import (
    DROPS_PER_STORMING_USER,
    MESSAGES_PER_TYPING_USER,
    NOTICES_PER_TYPING_USER,
    UPLOADS_PER_UPLOADING_USER,
    derive_mix,
)
from capacity.model.traffic import Traffic, traffic_between
from stampede.locust.options import OPTIONS
from tests.loadtest.locustfiles import scheduled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer


def traffic(**seen: float) -> Traffic:
    quiet = {"connections": 1000.0, "rooms": 50.0, "messages": 0.0, "notices": 0.0, "uploads": 0.0, "upload_bytes": 0.0}
    return Traffic(**(quiet | {"vanished": 0.0} | seen))


def made_by(*, chatting: int, typing: int, uploading: int, storming: int, rate: float) -> Traffic:
    """Return the traffic of the load test's users."""
    return traffic(
        connections=chatting + typing + uploading + storming,
        messages=chatting * rate + typing * MESSAGES_PER_TYPING_USER,
        notices=typing * NOTICES_PER_TYPING_USER,
        uploads=uploading * UPLOADS_PER_UPLOADING_USER,
        upload_bytes=uploading * UPLOADS_PER_UPLOADING_USER * 200_000,
        vanished=storming * DROPS_PER_STORMING_USER,
    )


def test_the_mix_that_produced_the_traffic_is_derived() -> None:
    found = derive_mix(made_by(chatting=700, typing=200, uploading=40, storming=60, rate=0.05))
    assert found.weights == {"ChattingUser": 70, "FileUploadUser": 4, "TypingUser": 20, "ReconnectStormUser": 6}
    assert found.message_rate == pytest.approx(0.05)
    assert found.room_size == 20
    assert found.upload_bytes == pytest.approx(200_000)


def test_a_server_without_messages_has_listening_users() -> None:
    found = derive_mix(traffic())
    assert found.weights == {"ListeningUser": 100}
    assert found.message_rate is None


def test_without_connected_users_there_is_no_mix() -> None:
    with pytest.raises(UsageError, match="no user was connected"):
        derive_mix(traffic(connections=0.0))


def test_rates_of_actions_match_the_load_test() -> None:
    seconds = 200_000
    typing = [action for _, action in scheduled("loadtest.typing_users", "TypingUser", seconds)]
    assert typing.count("typing") / seconds == pytest.approx(NOTICES_PER_TYPING_USER, rel=0.03)
    assert typing.count("say") / seconds == pytest.approx(MESSAGES_PER_TYPING_USER, rel=0.03)
    uploads = scheduled("loadtest.uploading", "FileUploadUser", seconds)
    assert len(uploads) / seconds == pytest.approx(UPLOADS_PER_UPLOADING_USER, rel=0.01)
    defaults = {option.name: option.default for option in OPTIONS}
    assert pytest.approx(float(defaults["storm-share"]) / float(defaults["storm-period"])) == DROPS_PER_STORMING_USER


def test_the_options_are_valid_for_the_run_and_for_a_shell() -> None:
    found = derive_mix(made_by(chatting=700, typing=200, uploading=40, storming=60, rate=0.05))
    settings = read_settings(found.capacity_options().split(), {})
    assert settings.mix == found.weights
    assert settings.load.room_size == 20
    assert settings.load.message_rate == pytest.approx(0.05)
    words = shlex.split(found.locust_options())
    assert words[:4] == ["ChattingUser", "FileUploadUser", "TypingUser", "ReconnectStormUser"]
    assert '{"user_class_name": "ChattingUser", "weight": 70}' in words


def test_two_scrapes_of_a_real_server_give_a_mix(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = server.get("/metrics")
    second = first.replace("chat_connections 0.0", "chat_connections 200.0").replace(
        'chat_messages_received_total{type="chatMessage"} 0.0', 'chat_messages_received_total{type="chatMessage"} 600.0'
    )
    assert traffic_between(first, second, 60).messages == pytest.approx(10)
    for name, text in (("one", first), ("two", second)):
        (tmp_path / name).write_text(text)
    assert main(["mix", str(tmp_path / "one"), str(tmp_path / "two"), "--seconds", "60"]) == 0
    said = capsys.readouterr().out
    assert f"{sys.orig_argv[0]} -m capacity --mix ChattingUser=100 --message-rate 0.1" in said
    assert f"{sys.orig_argv[0]} -m locust -f loadtest " in said
    with pytest.raises(UsageError, match="went down"):
        traffic_between(second, first, 60)


def scrape(path: Path, page: str, *, messages: int, at_ms: int | None = None) -> str:
    """Write a scrape of a server with 200 users into a file, with timestamps if `at_ms` is given."""
    page = page.replace("chat_connections 0.0", "chat_connections 200.0").replace(
        'chat_messages_received_total{type="chatMessage"} 0.0',
        f'chat_messages_received_total{{type="chatMessage"}} {messages}.0',
    )
    if at_ms is not None:
        page = "".join(f"{line}{'' if line.startswith('#') else f' {at_ms}'}\n" for line in page.splitlines())
    path.write_text(page)
    return str(path)


def test_two_files_need_seconds_unless_they_have_timestamps(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = server.get("/metrics")
    files = [scrape(tmp_path / "one", page, messages=0), scrape(tmp_path / "two", page, messages=100)]
    os.utime(files[0], (1000, 1000))
    os.utime(files[1], (1005, 1005))
    assert main(["mix", *files]) == 2
    said = capsys.readouterr().err
    assert "--seconds is required" in said
    assert "(the files were written 5 s apart)" in said
    assert main(["mix", *files, "--seconds", "5"]) == 0
    assert "--message-rate 0.1" in capsys.readouterr().out
    stamped = [
        scrape(tmp_path / "three", page, messages=0, at_ms=1_700_000_000_000),
        scrape(tmp_path / "four", page, messages=100, at_ms=1_700_000_005_000),
    ]
    assert main(["mix", *stamped]) == 0
    assert "--message-rate 0.1" in capsys.readouterr().out
    assert main(["mix", *reversed(stamped)]) == 2
    assert "swap them" in capsys.readouterr().err


def test_two_scrapes_of_a_page_use_the_elapsed_time(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    def noted(first: str, second: str, seconds: float, _: object) -> Traffic:
        taken.append(seconds)
        return traffic_between(first, second, seconds)

    sleep = time.sleep
    monkeypatch.setattr("capacity.cli.mix.traffic_between", noted)
    monkeypatch.setattr("capacity.cli.mix.time.sleep", lambda seconds: sleep(seconds + 1))
    assert main(["mix", "--metrics", f"{server.http}/metrics", "--seconds", "0.1"]) == 2  # no user was connected
    assert taken[0] >= 1.1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "mix takes one of"),
        (["one"], "mix needs two scrapes for a difference, not 1"),
        (["--prometheus", "http://127.0.0.1:1"], "no Prometheus at http://127.0.0.1:1"),
        (["--metrics", "http://127.0.0.1:1/metrics"], "no metrics at http://127.0.0.1:1/metrics"),
        (["a", "b", "--seconds", "0"], "must be more than 0"),
    ],
)
def test_invalid_arguments_are_one_line_and_exit_code_2(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mix", *arguments]) == 2
    said = capsys.readouterr().err
    assert error in said
    assert said.count("\n") == 1
