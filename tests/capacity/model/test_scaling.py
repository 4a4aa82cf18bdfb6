from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec
import pytest

from capacity.model.scaling import point_of, scaling_of
from capacity.processes.cores import Cores, usable_cores
from capacity.record.report import read_report
from tests.capacity import make
from tests.capacity.run_options import TOLERANT, USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.record.model import ProcessPoint
    from tests.capacity.fixtures import Run


def point(workers: int, rate: float, *, reached: bool = True, shared: bool = False) -> ProcessPoint:
    """Return the result of a search with `workers` processes that held `rate` deliveries a second, three times."""
    users = round(rate / 19)
    steps = [make.step(users, delivered_per_s=rate * off) for off in (0.99, 1.0, 1.01)]
    report = make.report([*steps, *([make.failing(round(users * 1.1))] if reached else [])])
    cores = [0, 1] if shared else [2]
    environment = msgspec.structs.replace(report.environment, server_cores=cores, generator_cores=[0, 1])
    return point_of(msgspec.structs.replace(report, environment=environment), workers, f"workers-{workers}")


def law(workers: int, sigma: float, kappa: float) -> float:
    return 20_000 * workers / (1 + sigma * (workers - 1) + kappa * workers * (workers - 1))


def test_efficiency_is_deliveries_per_process_relative_to_the_first() -> None:
    scaling = scaling_of([point(2, 30_000), point(1, 20_000)])
    assert scaling is not None
    assert [p.workers for p in scaling.points] == [1, 2]
    assert scaling.efficiency == pytest.approx([1, 0.75])
    assert "1.50 times the deliveries, 75 % of a linear gain" in scaling.lines[0]
    assert scaling.sigma is None


def test_two_numbers_of_processes_give_contention_alone() -> None:
    scaling = scaling_of([point(1, 20_000), point(2, law(2, 0.25, 0))])
    assert scaling is not None
    assert "needs at least 4 numbers" in scaling.lines[1]
    assert (
        "with contention alone, sigma is 0.25, and no number of processes reaches more than 4 times" in scaling.lines[2]
    )


def test_four_numbers_of_processes_give_the_law() -> None:
    scaling = scaling_of([point(n, law(n, 0.05, 0.01)) for n in (1, 2, 4, 8)])
    assert scaling is not None
    assert scaling.sigma == pytest.approx(0.05, abs=0.03)
    assert scaling.kappa == pytest.approx(0.01, abs=0.005)
    assert any("peaks at" in text for text in scaling.lines)


def test_a_generator_limit_is_a_lower_bound_and_not_a_point_of_the_law() -> None:
    scaling = scaling_of([point(1, 20_000), *[point(n, law(n, 0.05, 0.01), reached=n < 8) for n in (2, 4, 8)]])
    assert scaling is not None
    assert scaling.sigma is None
    assert any("hold at least" in text for text in scaling.lines)
    assert any("with 8 the server's limit was not reached" in text for text in scaling.lines)


def test_shared_cores_are_noted() -> None:
    scaling = scaling_of([point(1, 20_000), point(2, 25_000, shared=True)])
    assert scaling is not None
    assert any("the load generator had no core of its own" in text for text in scaling.lines)


def test_a_single_search_has_no_scaling() -> None:
    assert scaling_of([point(1, 20_000)]) is None


def test_an_interrupted_search_is_a_lower_bound_and_one_without_passes_is_reported() -> None:
    cut = msgspec.structs.replace(point(2, 30_000), cut_short=True)
    scaling = scaling_of([point(1, 20_000), cut])
    assert scaling is not None
    assert scaling.lines[0].startswith("2 processes hold at least 1 579 users where 1 holds 1 053")
    assert "with 2 the search was interrupted: the capacity is at least that" in scaling.lines
    assert not any("contention alone" in text for text in scaling.lines)
    nothing = msgspec.structs.replace(cut, deliveries_per_s=[], supported_users=None)
    scaling = scaling_of([point(1, 20_000), nothing])
    assert scaling is not None
    assert [p.workers for p in scaling.points] == [1]
    assert "with 2 no level passed" in scaling.lines


@pytest.mark.parametrize(
    ("usable", "workers", "server", "generator", "shared"),
    [
        ((0, 1), 1, (1,), (0,), False),
        ((0, 1, 2, 3), 2, (2, 3), (0, 1), False),
        ((0, 1), 2, (0, 1), (0, 1), True),
        ((0,), 1, (), (0,), False),
    ],
)
def test_each_process_has_a_core_while_one_is_left_for_the_generator(
    usable: tuple[int, ...], workers: int, server: tuple[int, ...], generator: tuple[int, ...], *, shared: bool
) -> None:
    cores = Cores.for_bundled_server(usable, workers=workers)
    assert (cores.server, cores.generator, cores.are_shared) == (server, generator, shared)


@pytest.mark.timeout(300)
def test_servers_of_one_and_two_processes_are_measured_one_after_the_other(capacity: Callable[..., Run]) -> None:
    # 840 deliveries a second: with fewer, the CPU figures would be too small to compare.
    load = ("--steps", "8", "--room-size", "8", "--message-rate", "15", "--window", "2")
    run = capacity("--workers-list", "1,2", *TOLERANT, *load)
    assert run.wait() == 0, run.errors
    scaling = run.report.scaling
    assert scaling is not None
    assert [p.workers for p in scaling.points] == [1, 2]
    assert [p.supported_users for p in scaling.points] == [8, 8]
    for found in scaling.points:
        assert (found.server_cores is not None) == (len(usable_cores()) > 1)
    step = run.report.steps[-1]
    assert (step.server_processes, step.verdict) == (2, "pass")
    assert step.server_core_share is not None  # the busiest process, from its metrics page
    assert step.server_cpu is not None
    assert step.server_cpu > step.server_core_share  # both processes and the bus
    assert step.server_loop_lag_p99_ms is not None
    page = (run.folder / "report.html").read_text()
    assert "More server processes" in page
    assert 'href="workers-1/report.html"' in page
    for name in ("workers-1", "workers-2"):
        assert (run.folder / name / "report.html").stat().st_size > 5000
    again = capacity("--resume", str(run.folder))
    assert again.wait() == 2
    assert "workers-2" in again.error


EACH = ("--workers-list", "1,2", *TOLERANT)


def test_ctrl_c_between_two_searches_keeps_the_first_result(capacity: Callable[..., Run]) -> None:
    run = capacity(*EACH, "--steps", USERS)
    run.await_line("One server process holds")
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130
    assert run.error == "capacity: interrupted by Ctrl-C"
    report = run.report
    assert (report.status, report.status_reason) == ("partial", "interrupted by Ctrl-C")
    assert report.answer.supported_users == int(USERS)
    assert report.scaling is not None
    assert [p.workers for p in report.scaling.points] == [1]
    assert read_report(run.folder / "workers-1" / "report.json").status == "complete"
    again = capacity("--resume", str(run.folder))
    assert again.wait() == 2
    assert again.error.endswith("name its folder, such as " + str(run.folder / "workers-2"))


def test_a_server_that_ends_in_the_second_search_leaves_both_reports(capacity: Callable[..., Run]) -> None:
    run = capacity(*EACH, "--steps", ",".join([USERS] * 3))
    run.await_line("One server process holds")
    run.await_first_verdict()
    run.child("server").kill()
    assert run.wait() == 98
    assert run.error == "capacity: the server was ended by SIGKILL"
    report = run.report
    assert report.status == "partial"
    assert report.scaling is not None
    assert [(p.workers, p.cut_short) for p in report.scaling.points] == [(1, False), (2, True)]
    assert read_report(run.folder / "workers-2" / "report.json").answer.ending == "cut short"
