"""The answer names the function or the call in the server's own code that the CPU time goes to."""

from __future__ import annotations

from capacity.profile.hot_spot import find_hot_spot
from capacity.profile.stacks import Frame, Profile
from capacity.report.answer import format_hot_spot
from tests.capacity.profile.samples import DUMPS, ENCODE, FAILING, HANDLE, MAIN, RUN


def hot_spot(stacks: dict[tuple[Frame, ...], float]) -> str:
    found = find_hot_spot(Profile(stacks, 1))
    assert found is not None
    return format_hot_spot(found)


def test_a_function_of_the_server_is_named_with_its_line() -> None:
    stacks = {(MAIN, RUN, HANDLE): 7.0, (MAIN, RUN, HANDLE, DUMPS): 3.0}
    assert hot_spot(stacks) == "70 % of it in handle (handlers.py:88)"


def test_a_library_counts_as_the_call_of_the_server_with_all_that_it_does() -> None:
    assert hot_spot(FAILING) == "41 % of it in json.dumps (handlers.py:88)"


def test_an_event_loop_is_not_a_call_of_the_server() -> None:
    assert hot_spot({(MAIN, RUN): 8.0, (MAIN, RUN, HANDLE): 2.0}) == "80 % of it in run (asyncio/runners.py:190)"


def test_a_server_of_libraries_alone_is_named_by_its_function() -> None:
    assert hot_spot({(RUN, ENCODE): 1.0}) == "100 % of it in JSONEncoder.encode (json/encoder.py:200)"


def test_code_without_a_file_is_named_alone() -> None:
    collector = Frame("(garbage collector)", None, None, library=True)
    assert hot_spot({(collector,): 1.0}) == "100 % of it in (garbage collector)"


def test_no_samples_have_no_hot_spot() -> None:
    assert find_hot_spot(Profile({}, 0)) is None
