"""The agent of a process that runs users: creates the pool of a test and reports on it.

That process is a worker or, without workers, Locust's only process.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import gevent
import psutil
from gevent.event import Event
from locust.runners import WorkerRunner

from stampede.check.start import check_exchange
from stampede.generator_faults import Fault, FaultKind
from stampede.health.health import WINDOW_SECONDS, Health
from stampede.health.loop_lag_probe import LoopLagProbe
from stampede.health.machine import Usage, usage
from stampede.locust.agents.spawn_order import spawn_order, user_classes_of
from stampede.locust.exceptions import count_exception
from stampede.locust.hooks import can_check, is_chat_class
from stampede.locust.http_steps import check_steps
from stampede.locust.output.locust_stats import StatsUpdater
from stampede.locust.settings import OptionError, check_processes, host_of, http_base_url, read_settings, run_dialect
from stampede.locust.user_group import UserGroup
from stampede.measure.measures import Measures
from stampede.measure.report import UNASSIGNED, WorkerReport
from stampede.pool.batch_reader import BatchSettings
from stampede.pool.user_pool import MAX_DRAIN_SECONDS, PoolSettings, UserPool
from stampede.websocket.target import join_url, resolve
from stampede.workload.accounts import account_of
from stampede.workload.placement import Partition
from stampede.workload.timed_users import TimedUsers

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment
    from locust.runners import LocalRunner

    from stampede.dialects.base import Dialect
    from stampede.locust.agents.assignment import Assignment, UserClass
    from stampede.locust.settings import LoadTestSettings
    from stampede.measure.storm import Manner, StormPart
    from stampede.websocket.target import Target

STATS_SECONDS: Final = 1.0
"""Interval at which Locust's statistics are updated."""

_REQUEST_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class WorkerAgent:
    """Creates and closes the pool of each test, watches the load generator's health, and reports.

    Attributes:
        pool: of the current or last test; None before the first test and after one that could not start.
        settings: of that test.
        run: number of the test; the master ignores reports of other tests.
        partition: the part of all users that this process runs.
        waiting: whether a test has started and its assignment has not arrived.
        exits: whether this process exits; then neither a test nor users start.
        request_assignment: requests the assignment from the master again; None without a master.
    """

    def __init__(self, environment: Environment, runner: LocalRunner | WorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._process = psutil.Process()
        self._tasks: list[gevent.Greenlet[..., None]] = []
        self._loop_lag_probe: LoopLagProbe | None = None
        self._health = Health(time.monotonic(), time.process_time())
        self._failure: Fault | None = None
        self._stats: StatsUpdater | None = None
        self._final = False
        self._final_report: WorkerReport | None = None
        self._drained = Event()
        self._began = self._cpu_before = 0.0
        self.pool: UserPool | None = None
        self.settings: LoadTestSettings | None = None
        self.run = 0
        self.partition = Partition(0, 1)
        self.waiting = False
        self.exits = False
        self.request_assignment: Callable[[], None] | None = None
        self._requested_at = 0.0
        self._user_classes: list[UserClass] | None = None
        self._assigned = self._is_starting = False

    def assign(self, assignment: Assignment) -> None:
        """Store the assignment for the next test, or for the one that has just started."""
        self.run, self.partition, self._user_classes = assignment.run, assignment.partition, assignment.user_classes
        self._assigned = True

    def consume_assignment(self) -> bool:
        """Use the assignment for the test that starts now; if there is none yet, set `waiting` and return False."""
        assigned, self._assigned = self._assigned, False
        self._failure = None
        self.waiting = self.waiting or not assigned
        return assigned

    def await_assignment(self, seconds: float) -> None:
        """Wait for the assignment of the running test, and request it each second; report a fault after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.waiting:
            now = time.monotonic()
            if self._is_starting:
                pass  # the assignment has arrived; a check of the server may take longer
            elif now > deadline:
                self.fail(FaultKind.ASSIGNMENT, f"none arrived within {seconds:.0f} s")
            elif self.request_assignment is not None and now - self._requested_at > _REQUEST_SECONDS:
                self._requested_at = now
                self.request_assignment()
            gevent.sleep(0.02)

    def start(self) -> None:
        """Create the pool of a test. If the dialect says so, first discover whether the server echoes.

        Raises:
            OptionError: the options are unusable.
            ClientError: the address is unusable, or the server has failed the check.
        """
        self._is_starting = True
        try:
            self._start()
        finally:
            self._is_starting = False

    def _start(self) -> None:
        self._stats = None  # the last test must not change the statistics of this one
        self.close()
        self.pool = self._final_report = self._failure = None
        self.settings = settings = read_settings(self._environment.parsed_options or argparse.Namespace())
        dialect = run_dialect(settings, self._runner.user_classes)
        check_processes(settings, self.partition.of)
        host = host_of(self._runner.user_classes, self._environment.host)
        url = join_url(host, settings.path or dialect.path)
        target = resolve(
            url,
            verify=settings.verify_tls,
            ca_file=settings.ca_file,
            first=self.partition.position,
            headers=settings.headers,
            connect_to=settings.connect_to,
        )
        echoes = dialect.echoes if dialect.echoes is not None else self._discover_echo(target, dialect, settings)
        self._final = False
        self._drained.clear()
        pool_settings = PoolSettings(
            settings.plan,
            self.partition,
            settings.message_bytes,
            settings.seed,
            settings.accounts,
            kept_names=settings.threshold_requests,
            join_grace=settings.join_grace,
            batches=BatchSettings(settings.batch_interval, TimedUsers(settings.timed_share, settings.timed_users)),
        )
        user_classes = user_classes_of(self._runner.user_classes) if self._user_classes is None else self._user_classes
        others = self._other_classes()
        order = (name for name in self.partition.select(spawn_order(user_classes)) if name not in others)
        self.pool = UserPool(pool_settings, target, order, dialect, self._count_exception, echoes=echoes)
        self._stats = StatsUpdater(self.pool.measures)
        self._began, self._cpu_before = time.monotonic(), time.process_time()
        self._health = Health(self._began, self._cpu_before, usage())
        self._loop_lag_probe = LoopLagProbe(self.pool.measures.loop_lag)
        self.pool.droppers.start_churn(settings.churn_per_minute, settings.storm_manner)
        self._tasks = [gevent.spawn(self._keep_health, self.pool)]
        if not isinstance(self._runner, WorkerRunner):  # a worker updates them when it sends them
            self._tasks.append(gevent.spawn(self._keep_stats))

    def _discover_echo(self, target: Target, dialect: Dialect, settings: LoadTestSettings) -> bool:
        """Return whether the server sends a chat message to its sender, too.

        Raises:
            OptionError: the users do by code of the scenario what the check cannot do.
            CheckError: the server has failed the check.
        """
        if not can_check(self._runner.user_classes, dialect):
            raise OptionError(
                f"the dialect {dialect.name} does not say whether senders receive their own messages, and a check "
                "cannot log in, join or send as code of the scenario does: set `echoes` of the dialect"
            )
        first, second = (account_of(self.partition.number(place), settings.accounts) for place in range(2))
        base_url = http_base_url(self._runner.user_classes, self._environment.parsed_options, target.url)
        steps = check_steps(dialect, (first, second), base_url)
        echoes = check_exchange(target, dialect, (first, second), settings.join_grace, steps)
        _log.info("The server %s messages to their senders.", "sends" if echoes else "does not send")
        return echoes

    def _count_exception(self, error: Exception) -> None:
        """Count an exception of a scenario's callback as Locust counts those of tasks."""
        count_exception(self._environment, None, error)

    def drain(self) -> None:
        """Stop sending, wait for deliveries in flight, and make the numbers final.

        With `--stop-timeout`, users that are in a task finish it first.
        """
        pool, stop_timeout = self.pool, self._environment.stop_timeout or 0.0
        if pool is None or self._final:
            return
        if pool.draining:
            self._drained.wait(stop_timeout + MAX_DRAIN_SECONDS)  # another greenlet drains
            return
        pool.stop_schedules()
        if stop_timeout and isinstance(self._runner.user_greenlets, UserGroup):
            self._runner.user_greenlets.finish_tasks(stop_timeout)
        pool.drain()
        self._check_health(self._health.conclude, pool)
        self.update_stats()
        pool.measures.finish()
        self._final_report = self.report()
        self._final = True
        self._drained.set()

    @property
    def may_start_users(self) -> bool:
        """Whether users may start: not from the beginning of a test's end until the start of the next test.

        Other processes may not know yet that the test of this one ends: a master still sends users to a worker that
        exits.
        """
        if self.exits:
            return False
        return self.waiting or self.pool is None or not self.pool.draining

    def close(self) -> None:
        """Stop everything of the test; its numbers are kept."""
        if self._loop_lag_probe is not None:
            self._loop_lag_probe.close()
            self._loop_lag_probe = None
        gevent.killall(self._tasks)
        self._tasks = []
        if self.pool is not None:
            self.pool.close()
            self.update_stats()

    def storm(self, number: int, share: float, manner: Manner) -> None:
        """Drop a share of the users of this process now."""
        if self.pool is not None:
            self.pool.storm(number, share, manner)

    def watch(self, number: int | None) -> None:
        """Start a watch of the users of this process, or end it (None)."""
        if self.pool is None:
            return
        if number is None:
            self.pool.end_watch()
        else:
            self.pool.start_watch(number)

    def storm_parts(self) -> list[StormPart]:
        """Return this process's part in the results of the latest storms."""
        return self.pool.storms.parts(final=self._final) if self.pool is not None else []

    def update_stats(self) -> None:
        """Update Locust's statistics, unless the numbers are final."""
        if self._stats is not None and self.pool is not None and not self._final:
            self.pool.measures.update_delivery_row()
            self._stats.update(self._runner.stats)

    def count_request(
        self, request_type: str, name: str, response_time: float | None, exception: object = None, **_: Any
    ) -> None:
        """Count a request of another client, such as Locust's HTTP client; a listener of Locust's `request` event."""
        if self.pool is None:
            return
        request = self.pool.measures.request_of_other_client(request_type, name)
        if exception:
            # Texts of exceptions contain addresses, so there may be any number of them.
            request.failed("error" if isinstance(exception, str) else type(exception).__name__)
        else:
            request.done(None if response_time is None else round(response_time * 1e6))

    def report(self) -> WorkerReport | None:
        """Return a report on the current or last test; None when there was none.

        The counts are final after the drain, although some users may still be reconnecting.
        """
        report = self._report()
        if report is None or self._final_report is None:
            return report
        return report.with_counts_of(self._final_report)

    def _report(self) -> WorkerReport | None:
        pool = self.pool
        if self._failure is not None:
            return self._failure_report(self._failure)
        if pool is None:
            return None
        occupancy = pool.occupancy
        return self._new_report(
            run=self.run,
            final=self._final,
            cpu_share=(time.process_time() - self._cpu_before) / max(time.monotonic() - self._began, 0.001),
            figures=pool.measures.figures(
                users=self._runner.user_count,
                other_users=self._other_users(),
                connections=len(pool.reactor),
                ready=occupancy.ready,
                rooms=occupancy.rooms,
                members=occupancy.members,
                timed_users=pool.batch_reader.timed_users,
            ),
            storms=self.storm_parts(),
            lacking=[answer for answer, given in pool.measures.optional.items() if not given],
            keeps_order=pool.client_context.dialect.keeps_order,
            addresses=pool.target.addresses.uses(),
            problems=self._health.problems,
            causes=self._health.causes,
            faults=list(pool.faults),
        )

    def _other_classes(self) -> list[str]:
        """Return the names of the user classes whose users join no room."""
        return [one.__name__ for one in self._runner.user_classes if not is_chat_class(one)]

    def _other_users(self) -> int:
        """Return how many of the users join no room."""
        others = self._other_classes()
        running = self._runner.user_classes_count if others else {}
        return sum(running[name] for name in others)

    def _failure_report(self, failure: Fault) -> WorkerReport:
        """Return a report with the reason why the users of this process cannot run."""
        return self._new_report(
            run=UNASSIGNED if failure.kind is FaultKind.ASSIGNMENT else self.run,
            final=True,
            cpu_share=0.0,
            figures=Measures().figures(users=self._runner.user_count),
            faults=[failure],
            failure=failure.detail or str(failure.kind),
        )

    def _new_report(self, **fields: Any) -> WorkerReport:
        """Return a report with the identity and the present resource usage of this process."""
        return WorkerReport(
            id=self._runner.client_id,
            index=self.partition.position,
            pid=os.getpid(),
            cpu_seconds=time.process_time(),
            rss_bytes=self._process.memory_info().rss,
            host=socket.gethostname(),
            **fields,
        )

    def fail(self, kind: FaultKind, detail: str) -> None:
        """Report that the users of this process cannot run, and why."""
        if self._failure is None:
            _log.error("The users of this process cannot run: %s: %s", kind, detail)
        self._failure = Fault(kind, detail, 1)
        self.waiting = False

    @property
    def failed(self) -> bool:
        """Whether the users of this process cannot run in the current test."""
        return self._failure is not None

    def _keep_stats(self) -> None:
        while True:
            gevent.sleep(STATS_SECONDS)
            self.update_stats()

    def _keep_health(self, pool: UserPool) -> None:
        while not pool.draining:
            gevent.sleep(WINDOW_SECONDS)
            self._check_health(self._health.end_window, pool)

    def _check_health(self, check: Callable[[float, float, Measures, Usage], list[str]], pool: UserPool) -> None:
        """Check the load generator's health; log new problems."""
        for problem in check(time.monotonic(), time.process_time(), pool.measures, usage()):
            _log.warning("The load generator is the limit, this run is invalid: %s", problem)
        for kind, value in self._health.reached:
            pool.count_fault(kind, value)
