"""The options of the load test, from the command line and from the web page, and the settings that they give."""

from __future__ import annotations

from argparse import Namespace

import pytest

from stampede.dialects.base import Dialect, Feature
from stampede.dialects.stampede import StampedeDialect
from stampede.locust.options import OPTIONS
from stampede.locust.settings import (
    OptionError,
    check_processes,
    check_rooms_per_user,
    dialect_of,
    read_settings,
    run_dialect,
)
from stampede.workload.placement import RoomPlan
from stampede.workload.schedule import Arrivals


def test_the_defaults_are_rooms_of_twenty_and_one_message_per_second() -> None:
    settings = read_settings(Namespace())
    assert settings.plan == RoomPlan(None, 20)
    assert (settings.message_rate, settings.arrivals, settings.message_bytes) == (1.0, Arrivals.CONSTANT, 64)
    assert (settings.path, settings.verify_tls, settings.prometheus_port) == (None, True, None)


def test_text_and_empty_fields_of_the_web_page_are_accepted() -> None:
    form = Namespace(rooms="", room_size="7", message_rate=2.0, upload_bytes="1k", seed=5, prometheus_port="")
    settings = read_settings(form)
    assert settings.plan == RoomPlan(None, 7)
    assert settings.prometheus_port is None
    assert settings.seed == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rooms", "many"),
        ("room_size", "0"),
        ("arrivals", "never"),
        ("backoff", "x"),
        ("path", "x"),
        ("connect_to", "chat:x"),
        ("upload_bytes", "x"),
    ],
)
def test_a_bad_value_from_the_web_page_is_reported_with_its_option(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"^--{name.replace('_', '-')}: .*{value}"):
        read_settings(Namespace(**{name: value}))


def test_every_option_has_an_environment_variable_named_like_locust_s() -> None:
    assert [option.env for option in OPTIONS][:2] == ["LOCUST_ROOMS", "LOCUST_ROOM_SIZE"]


def test_every_process_needs_a_room() -> None:
    check_processes(read_settings(Namespace(rooms=2)), 2)
    check_processes(read_settings(Namespace(room_size=100)), 8)
    with pytest.raises(OptionError, match="--rooms 2 is less than the 3 processes"):
        check_processes(read_settings(Namespace(rooms=2)), 3)
    check_processes(read_settings(Namespace(rooms=10, rooms_per_user=5)), 2)
    with pytest.raises(OptionError, match=r"--rooms-per-user 5 needs at least 5 rooms in each of the 2 processes"):
        check_processes(read_settings(Namespace(rooms=9, rooms_per_user=5)), 2)


def test_a_user_is_in_no_more_rooms_than_a_connection_of_the_dialect() -> None:
    settings = read_settings(Namespace(rooms_per_user=2))
    check_rooms_per_user(settings, Dialect())
    with pytest.raises(OptionError, match="--rooms-per-user 2: a connection of the stampede dialect can be in 1 only"):
        check_rooms_per_user(settings, StampedeDialect())


def test_the_user_classes_of_a_run_have_one_dialect() -> None:
    class Plain(Dialect):
        name = "mine"

    def user(dialect: Dialect | str | None) -> type:
        return type("User", (), {"dialect": dialect})

    one = Plain()
    assert dialect_of([user(None), user(one), user(one), object], None) is one
    assert dialect_of([user(None)], None).name == "stampede"
    assert dialect_of([user(one), user("stampede")], "plain").name == "plain"
    with pytest.raises(OptionError, match="several dialects, but a run has one: mine, plain"):
        dialect_of([user(one), user(Dialect())], None)
    with pytest.raises(OptionError, match="--dialect: 'nothing' is not a dialect: give one of stampede, plain"):
        dialect_of([user(one)], "nothing")


def test_a_dialect_without_a_feature_that_a_user_class_needs_is_refused() -> None:
    plain = read_settings(Namespace(dialect="plain"))
    uploader = type("Uploader", (), {"required_features": frozenset({Feature.UPLOAD})})
    assert run_dialect(plain, [object]).name == "plain"
    assert run_dialect(read_settings(Namespace()), [uploader]).name == "stampede"
    with pytest.raises(OptionError, match=r"^Uploader needs uploads, which the plain dialect does not have"):
        run_dialect(plain, [object, uploader])


@pytest.mark.parametrize(
    "given",
    [
        ["deliver_p99 < 250 ms", "loss<0.1%"],
        ["deliver_p99<250ms loss<0.1%"],
        ["deliver_p99 <250ms,loss < 0.1 %"],
        "deliver_p99 < 250 ms, loss < 0.1 %",
        "deliver_p99 < 250 ms loss < 0.1 %",
        "  deliver_p99<250ms\nloss<0.1% ,",
    ],
)
def test_thresholds_may_contain_spaces_and_be_given_in_one_text_or_several(given: list[str] | str) -> None:
    assert [level.text for level in read_settings(Namespace(threshold=given)).thresholds] == [
        "deliver_p99<250ms",
        "loss<0.1%",
    ]


@pytest.mark.parametrize(
    "given",
    [
        ["look around:p99<200ms", "loss<1%"],
        "look around:p99<200ms, loss<1%",
        "look around:p99 < 200 ms loss < 1 %",
    ],
)
def test_a_threshold_may_be_about_requests_whose_name_has_spaces(given: list[str] | str) -> None:
    read = read_settings(Namespace(threshold=given)).thresholds
    assert [(level.text, level.request) for level in read] == [
        ("look around:p99<200ms", "look around"),
        ("loss<1%", None),
    ]


@pytest.mark.parametrize("given", ["deliver_p99 < 250 m s", "deliver_p99 250ms", "loss < 0.1 % errors"])
def test_an_invalid_threshold_is_quoted_in_the_error(given: str) -> None:
    with pytest.raises(OptionError, match=r"^--threshold: .*(deliver_p99|errors)"):
        read_settings(Namespace(threshold=given))
