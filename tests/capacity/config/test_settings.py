from __future__ import annotations

import pytest

from capacity.config.settings import read_settings
from capacity.errors import UsageError


def test_the_defaults_search_with_chatting_users_in_rooms_of_twenty() -> None:
    settings = read_settings([], {})
    assert (settings.host, settings.given, settings.bounded, settings.scenario.mix) == (
        None,
        (),
        None,
        {"ChattingUser": 1},
    )
    assert settings.load.arguments() == ["--room-size", "20", "--message-rate", "1", "--timed-share", "0.02"]
    assert [level.text for level in settings.slos] == ["deliver_p99<250ms", "loss<0.1%", "errors<1%"]


def test_load_options_are_passed_through_to_locust() -> None:
    settings = read_settings(["--rooms", "4", "--message-bytes", "64", "--backoff", "none", "--seed", "7"], {})
    assert settings.load.arguments() == [
        *(
            "--rooms",
            "4",
            "--message-rate",
            "1",
            "--timed-share",
            "0.02",
            "--message-bytes",
            "64",
            "--backoff",
            "none",
            "--seed",
            "7",
        )
    ]


def test_options_reach_locust_by_its_environment_and_secrets_are_not_among_the_reported_arguments() -> None:
    headers = ("--header", 'Cookie: a="1", b=2', "--header", "X-Key:2")
    load = read_settings(["--origin", "https://a", *headers, "--insecure"], {}).load
    assert load.arguments() == [
        "--room-size",
        "20",
        "--message-rate",
        "1",
        "--timed-share",
        "0.02",
        "--origin",
        "https://a",
        "--insecure",
    ]
    inherited = {"LOCUST_TOKEN": "of another run", "GITHUB_STEP_SUMMARY": "of the whole job", "HOME": "/root"}
    passed = load.environment(inherited)
    assert passed == {
        "HOME": "/root",
        "LOCUST_ROOM_SIZE": "20",
        "LOCUST_MESSAGE_RATE": "1",
        "LOCUST_TIMED_SHARE": "0.02",
        "LOCUST_ORIGIN": "https://a",
        "LOCUST_HEADER": r'["Cookie: a=\"1\", b=2", "X-Key:2"]',
        "LOCUST_INSECURE": "true",
    }


def test_the_dialect_and_the_join_grace_are_passed_to_locust() -> None:
    host = ("--host", "ws://a")
    settings = read_settings([*host, "--dialect", "plain", "--join-grace", "0.5"], {})
    assert settings.dialect is not None
    assert settings.dialect.name == "plain"
    assert settings.load.arguments()[-4:] == ["--dialect", "plain", "--join-grace", "0.5"]
    assert read_settings([*host], {"STAMPEDE_CAPACITY_DIALECT": "plain"}).load.dialect == "plain"
    default = read_settings([], {}).dialect
    assert default is not None
    assert default.name == "stampede"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--host", "ws://a", "--dialect", "sokcetio"],
            "^--dialect: 'sokcetio' is not a dialect: give one of stampede,",
        ),
        (["--dialect", "plain"], "^--dialect plain is for a server at --host"),
        (["--join-grace", "soon"], "'soon' is not a number between 0 and 60"),
    ],
)
def test_an_unusable_dialect_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_settings(arguments, {})


def test_the_files_of_a_summary_are_those_of_the_run_and_not_of_its_load_test() -> None:
    settings = read_settings(["--summary-json", "a.json", "--junit", "a.xml"], {})
    assert (settings.summary_json, settings.junit) == ("a.json", "a.xml")
    assert not {"summary_json", "junit"} & set(settings.load.given)


def test_a_price_needs_the_users_that_it_is_for() -> None:
    assert read_settings(["--target-users", "9", "--price-per-core", "12.5"], {}).price_per_core == 12.5
    with pytest.raises(UsageError, match=r"^--price-per-core .*: give --target-users N as well$"):
        read_settings(["--price-per-core", "12.5"], {})
    for text in ("0", "-1", "nan", "inf", "25 EUR"):
        with pytest.raises(UsageError, match=f"--price-per-core: '{text}' is not a positive number"):
            read_settings(["--target-users", "9", f"--price-per-core={text}"], {})


def test_given_slos_replace_the_defaults() -> None:
    settings = read_settings(["--slo", "deliver_p50<5ms", "--slo", "loss<1%"], {})
    assert [level.text for level in settings.slos] == ["deliver_p50<5ms", "loss<1%"]


def test_an_slo_may_contain_spaces() -> None:
    for arguments, environment in (
        (["--slo", "deliver_p99 < 250 ms"], {}),
        ([], {"STAMPEDE_CAPACITY_SLO": "deliver_p99 < 250 ms"}),
    ):
        assert [level.text for level in read_settings(arguments, environment).slos] == ["deliver_p99<250ms"]


def test_a_mix_names_classes_and_weights() -> None:
    assert read_settings(["--mix", "ChattingUser=10, TypingUser=5"], {}).mix == {"ChattingUser": 10, "TypingUser": 5}


def test_steps_and_bounded_are_given_levels() -> None:
    assert read_settings(["--steps", "200,400"], {}).given == (200, 400)
    bounded = read_settings(["--bounded", "300"], {})
    assert (bounded.given, bounded.bounded) == ((300,), 300)


def test_every_option_is_also_read_from_the_environment() -> None:
    settings = read_settings([], {"STAMPEDE_CAPACITY_USERS_MAX": "700", "STAMPEDE_CAPACITY_STEPS": "5,6"})
    assert settings.users_max == 700
    assert settings.given == (5, 6)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bounded", "5", "--steps", "6"],
        ["--unbounded", "--bounded", "5"],
        ["--users-min", "50", "--users-max", "40"],
        ["--rooms", "4", "--room-size", "20"],
        ["--host", "ws://localhost:1", "--work-per-message", "0.1"],
        ["--host", "http://localhost:1"],
        ["--host", "ws://localhost:notaport"],
        ["--host", "localhost:8080"],
        ["--mix", "ChattingUser"],
        ["--mix", "ChattingUser=0"],
        ["--mix", "rm -rf=1"],
        ["--slo", "latency<5ms"],
    ],
)
def test_an_unusable_combination_is_refused_in_one_line(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(arguments, {})
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "a,b"],
        ["--steps", "0"],
        ["--bounded", "-1"],
        ["--window", "inf"],
        ["--users", "5"],
        ["--window", "x"],
    ],
)
def test_an_invalid_value_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(arguments, {})
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_code == 2


def test_the_help_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        read_settings(["--help"], {})
    assert done.value.code == 0
    shown = capsys.readouterr().out
    assert "loss<0.1%" in shown
    assert "STAMPEDE_CAPACITY_WINDOW" in shown


def test_thorough_changes_defaults_that_options_can_override() -> None:
    settings = read_settings(["--thorough", "--window", "12"], {})
    assert (settings.thorough, settings.max_duration, settings.window) == (True, 1800.0, 12.0)
    assert read_settings([], {}).max_duration == 165.0


@pytest.mark.parametrize(("text", "share"), [("30%", 0.3), ("0.25", 0.25), ("0", 0.0)])
def test_headroom_is_a_share(text: str, share: float) -> None:
    assert read_settings(["--target-users", "10", "--headroom", text], {}).headroom == pytest.approx(share)


@pytest.mark.parametrize("text", ["100%", "-1%", "much", "1"])
def test_an_invalid_headroom_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a share such as 30%"):
        read_settings([f"--headroom={text}"], {})


def test_sources_must_be_urls() -> None:
    settings = read_settings(["--metrics", "http://a:1/metrics", "--metrics", "http://b:1/metrics"], {})
    assert settings.metrics == ("http://a:1/metrics", "http://b:1/metrics")
    for flag in ("--metrics", "--prometheus"):
        with pytest.raises(UsageError, match="is not a URL such as"):
            read_settings([flag, "chat:9090"], {})


def test_an_empty_folder_of_runs_saves_none() -> None:
    assert read_settings([], {}).runs == "runs"
    assert read_settings(["--runs", ""], {}).runs == ""


def test_a_profile_of_a_storm_is_refused() -> None:
    with pytest.raises(UsageError, match="--profile is for levels of steady users: omit --storm"):
        read_settings(["--storm", "100", "--profile"], {})
