"""The pytest plugin: the fixture `load_generator`, and thresholds in the mark `stampede`.

    @pytest.mark.stampede(thresholds=["deliver_p99<250ms", "loss<0.1%"])
    def test_a_busy_room(load_generator):
        clients = load_generator.join("room", users=20)
        for client in clients:
            client.say("hello")

pytest imports this module at the start of each run in which the library is installed. So it imports nothing of the
library: gevent is imported when a test uses the fixture, Locust never.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from stampede.generator.load_generator import LoadGenerator

_MARK: Final = "stampede"
_FIXTURE: Final = "load_generator"
_NO_URL: Final = "no server: give --stampede-url or STAMPEDE_URL, or define a fixture stampede_url"

_failure: Final = pytest.StashKey[BaseException]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; all names begin with `--stampede-`."""
    group = parser.getgroup("stampede", "chat servers (stampede)")
    group.addoption(
        "--stampede-url", metavar="URL", help="Server of the fixture load_generator. Environment: STAMPEDE_URL."
    )
    group.addoption("--stampede-token", metavar="TOKEN", help="Bearer token of its users. Environment: STAMPEDE_TOKEN.")
    group.addoption("--stampede-ca-file", metavar="FILE", help="CA certificates (PEM) that verify a wss:// server.")
    group.addoption("--stampede-insecure", action="store_true", help="Accept any certificate of a wss:// server.")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(thresholds=(), **options): thresholds such as 'deliver_p99<250ms' that {_FIXTURE} must meet, "
        "and options of its LoadGenerator.",
    )


@pytest.fixture(scope="session")
def stampede_url(pytestconfig: pytest.Config) -> str:
    """URL of the server under test: `--stampede-url` or STAMPEDE_URL. Define a fixture of this name to start one."""
    url = pytestconfig.getoption("--stampede-url") or os.environ.get("STAMPEDE_URL")
    if not url:
        pytest.fail(_NO_URL, pytrace=False)
    return str(url)


@pytest.fixture
def load_generator(request: pytest.FixtureRequest, stampede_url: str) -> Iterator[LoadGenerator]:
    """Chat users on the server `stampede_url`, in a thread of their own, see `stampede.LoadGenerator`."""
    from stampede.generator.load_generator import LoadGenerator  # noqa: PLC0415 # imports gevent

    get = request.config.getoption
    options: dict[str, Any] = {
        "token": get("--stampede-token") or os.environ.get("STAMPEDE_TOKEN") or None,
        "ca_file": get("--stampede-ca-file"),
        "verify": not get("--stampede-insecure"),
    }
    mark = request.node.get_closest_marker(_MARK)
    if mark is not None:
        options |= {name: value for name, value in mark.kwargs.items() if name != "thresholds"}
    generator = LoadGenerator(stampede_url, **options).__enter__()
    try:
        yield generator
    finally:
        # A test that has failed does not wait for its deliveries.
        error = request.node.stash.get(_failure, None)
        generator.__exit__(type(error) if error is not None else None, error, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check the mark of a test before its fixtures are created."""
    mark = item.get_closest_marker(_MARK)
    if mark is None:
        return
    from stampede.verdict.slo import SloError, parse_slo, split_slos  # noqa: PLC0415

    try:
        for text in _thresholds(mark):
            for slo in split_slos(text):
                parse_slo(slo, "threshold")
    except SloError as error:
        pytest.fail(str(error), pytrace=False)
    if _FIXTURE not in getattr(item, "fixturenames", ()):
        pytest.fail(f"a test with the mark {_MARK!r} must use the fixture {_FIXTURE}", pytrace=False)


def _thresholds(mark: pytest.Mark) -> tuple[str, ...]:
    given = mark.kwargs.get("thresholds", ())
    if mark.args or not isinstance(given, (str, list, tuple)):
        pytest.fail(f"mark {_MARK!r}: give thresholds=[...], such as ['deliver_p99<250ms']", pytrace=False)
    return (given,) if isinstance(given, str) else tuple(given)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check the generator of a test that has passed; a failure is one of the test, not of its teardown."""
    __tracebackhide__ = True
    try:
        result = yield
        mark, generator = item.get_closest_marker(_MARK), getattr(item, "funcargs", {}).get(_FIXTURE)
        if generator is not None:
            generator.raise_callback_error()
            if mark is not None:
                _check(generator, _thresholds(mark))
    except BaseException as error:
        item.stash[_failure] = error
        raise
    return result


def _check(generator: LoadGenerator, thresholds: tuple[str, ...]) -> None:
    from stampede.errors import ThresholdError  # noqa: PLC0415

    try:
        generator.check(*thresholds)
    except ThresholdError as error:
        pytest.fail(str(error), pytrace=False)
