"""Connects the agents to Locust's runners: a single process, a worker, or the master."""

from __future__ import annotations

import argparse
import logging
import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import gevent
import msgspec
from gevent.event import Event
from locust import argument_parser, runners

from stampede.dialects.reductions import reductions
from stampede.generator_faults import FaultKind
from stampede.locust.agents.assignment import Assigner, Assignment
from stampede.locust.agents.master import MasterAgent
from stampede.locust.agents.spawn_order import user_classes_of
from stampede.locust.agents.storm_commands import STORM, WATCH
from stampede.locust.agents.worker import WorkerAgent
from stampede.locust.settings import OptionError, read_settings, run_dialect
from stampede.locust.user_group import UserGroup, quit_from_tasks
from stampede.measure.report import WorkerReport
from stampede.measure.storm import Manner
from stampede.pool.user_pool import MAX_DRAIN_SECONDS
from stampede.waiting import wait_until
from stampede.websocket.errors import ClientError

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.rpc import Message
    from locust.runners import LocalRunner, MasterRunner, WorkerRunner

REPORT_SECONDS: Final = 0.5
"""Interval of the workers' reports, in place of Locust's three seconds."""

AGENT_KEY: Final = "stampede"
"""Attribute of Locust's environment that holds the process's `WorkerAgent`; also the key of a report in its data."""

# Types of the messages between master and workers; `STORM` and `WATCH` are others.
_JOIN: Final = "stampede_join"
_ASSIGN: Final = "stampede_assign"
_DRAIN: Final = "stampede_drain"

_RUNNING: Final = (runners.STATE_SPAWNING, runners.STATE_RUNNING)

_log = logging.getLogger(__name__)


def set_up_local(environment: Environment, runner: LocalRunner) -> MasterAgent:
    """Set up a process that runs all users itself."""
    agent = _new_agent(environment, runner)
    master = MasterAgent(environment, runner, agent)

    def on_start(**_: Any) -> None:
        if _start_test(environment, master):
            _start_users(environment, agent)

    def on_stopping(**_: Any) -> None:
        agent.drain()
        master.end()

    def on_quitting(**_: Any) -> None:
        if runner.state in _RUNNING:
            runner.stop()  # so that no user counts a request after the summary
        agent.exits = True
        agent.drain()
        master.conclude()

    def on_stop(**_: Any) -> None:
        agent.close()
        master.conclude()

    on: Any = environment.events  # Locust does not annotate its hooks
    on.test_start.add_listener(on_start)
    on.test_stopping.add_listener(on_stopping)
    on.test_stop.add_listener(on_stop)
    on.quitting.add_listener(on_quitting)
    return master


def _new_agent(environment: Environment, runner: LocalRunner | WorkerRunner) -> WorkerAgent:
    agent = vars(environment)[AGENT_KEY] = WorkerAgent(environment, runner)
    runner.user_greenlets = UserGroup()
    quit_from_tasks(runner)
    _start_no_users_after_the_end(runner, agent)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.request.add_listener(agent.count_request)
    return agent


def _start_no_users_after_the_end(runner: LocalRunner | WorkerRunner, agent: WorkerAgent) -> None:
    """Ignore orders to start users once the end of the test has begun: a ramp may go on, a master may send users."""
    spawn_users = runner.spawn_users

    def spawn_users_of_running_test(user_classes_spawn_count: dict[str, int], wait: bool = False) -> Any:
        return spawn_users(user_classes_spawn_count, wait) if agent.may_start_users else []

    runner.spawn_users = spawn_users_of_running_test  # type: ignore[method-assign]


def set_up_worker(environment: Environment, runner: WorkerRunner) -> None:
    """Set up a worker: it runs the users that the master assigns, and reports to it."""
    agent = _new_agent(environment, runner)
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS
    # Locust 2.47 computes its default options once per option of each spawn message, and parses its whole command line
    # each time. That takes 200 ms in which this process serves no connection.
    argument_parser.default_args_dict = cache(argument_parser.default_args_dict)

    def start(**_: Any) -> None:
        if not agent.exits and agent.consume_assignment():
            _start_users(environment, agent)
            agent.waiting = False

    def on_assign(msg: Message, **_: Any) -> None:
        agent.assign(msgspec.convert(msg.data, Assignment))
        if agent.waiting:
            start()

    send_stats = runner._send_stats  # noqa: SLF001 # Locust has no public way to send statistics at once

    def send_all() -> None:
        """Send Locust's statistics and the report of the same moment, so that both agree on the master."""
        agent.update_stats()
        send_stats()

    def drain(**_: Any) -> None:
        agent.drain()
        if runner.connected:
            send_all()  # the final numbers, before the master stops listening

    def on_quitting(**_: Any) -> None:
        agent.exits = True
        drain()

    def close(**_: Any) -> None:
        agent.close()
        if runner.connected:
            send_all()  # before the next test can start

    def on_report(data: dict[str, Any], **_: Any) -> None:
        report = agent.report()
        if report is not None:
            data[AGENT_KEY] = report.to_message()

    def on_storm(msg: Message, **_: Any) -> None:
        agent.storm(msg.data["id"], msg.data["share"], Manner(msg.data["manner"]))

    runner._send_stats = send_all  # type: ignore[method-assign] # noqa: SLF001
    runner.register_message(_ASSIGN, on_assign)
    runner.register_message(STORM, on_storm)
    runner.register_message(WATCH, lambda msg, **_: agent.watch(msg.data["id"]))
    runner.register_message(_DRAIN, drain, concurrent=True)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.report_to_master.add_listener(on_report)
    on.test_start.add_listener(start)
    on.test_stopping.add_listener(drain)
    on.test_stop.add_listener(close)
    on.quitting.add_listener(on_quitting)
    # A test may be running already. Its first messages may have arrived before these listeners were registered.
    agent.waiting = runner.worker_state != runners.STATE_INIT
    agent.request_assignment = lambda: runner.send_message(_JOIN)
    agent.request_assignment()


def set_up_master(environment: Environment, runner: MasterRunner) -> MasterAgent:
    """Set up a master: it assigns users to the workers, collects their reports and decides the verdict."""
    master = MasterAgent(environment, runner, None)
    assigner = Assigner()

    def send(id_: str, assignment: Assignment) -> None:
        runner.send_message(_ASSIGN, msgspec.to_builtins(assignment), id_)

    def on_start(**_: Any) -> None:
        if not _start_test(environment, master):
            return
        ids = [client.id for client in runner.clients.all if client.state != runners.STATE_MISSING]
        master.expect(ids)
        _keep_missing_workers(runner)
        for id_, assignment in assigner.start(master.run, ids, user_classes_of(runner.user_classes)).items():
            send(id_, assignment)

    def on_join(msg: Message, **_: Any) -> None:
        assignment = assigner.join(msg.node_id)
        if assignment is not None:
            master.expect([msg.node_id])
            if assignment.partition.late:
                _log.info("Worker %s joined during the test: its users get additional rooms.", msg.node_id)
            send(msg.node_id, assignment)

    def on_report(data: dict[str, Any], **_: Any) -> None:
        if AGENT_KEY in data:
            master.receive_report(WorkerReport.from_message(data[AGENT_KEY]))

    def drain(**_: Any) -> None:
        ids = {client.id for client in runner.clients.running + runner.clients.spawning}
        runner.send_message(_DRAIN)
        seconds = (environment.stop_timeout or 0.0) + MAX_DRAIN_SECONDS + 5
        if not wait_until(lambda: master.all_final(ids), seconds):
            _log.warning("Not all workers sent their final report: the latest report of the others is used.")
        master.end()

    def on_quitting(**_: Any) -> None:
        if runner.state in _RUNNING:
            runner.stop()  # so that no user counts a request after the summary
        master.conclude()

    _start_no_users_while_stopping(environment, runner)
    runner.register_message(_JOIN, on_join)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.test_start.add_listener(on_start)
    on.test_stop.add_listener(lambda **_: assigner.end())
    on.worker_report.add_listener(on_report)
    on.test_stopping.add_listener(drain)
    on.quitting.add_listener(on_quitting)
    _conclude_stopped_tests(environment, runner, master)
    return master


def _conclude_stopped_tests(environment: Environment, runner: MasterRunner, master: MasterAgent) -> None:
    """Conclude each test that stops, once the users of all workers have stopped.

    When Locust 2.47 quits, it ends the test before that, and fires `quitting` after it has waited for the last reports.
    """
    quits = Event()
    quit_runner = runner.quit

    def quit_and_note() -> None:
        quits.set()
        quit_runner()

    def on_stop(**_: Any) -> None:
        if not quits.is_set():
            master.conclude()

    runner.quit = quit_and_note  # type: ignore[method-assign]
    on: Any = environment.events  # Locust does not annotate its hooks
    on.test_stop.add_listener(on_stop)


def _keep_missing_workers(runner: MasterRunner) -> None:
    """Let Locust keep the workers that are missing when a test starts.

    Locust 2.47 removes a worker that was missing for a minute, and then starts all users of the test again, although
    that worker has none of them.
    """
    for client in runner.clients.missing:
        client.heartbeat = math.inf


def _start_no_users_while_stopping(environment: Environment, runner: MasterRunner) -> None:
    """Ignore orders to start or move users while the test ends: Locust moves users when a worker comes or goes.

    A ramp ends, too. Locust 2.47 would continue it, and wait 60 seconds for the users that it starts.

    Call this before `test_stopping` gets a listener that waits.
    """
    start = runner.start
    stopping = Event()

    class EndingDispatcher(environment.dispatcher_class):  # type: ignore[misc,name-defined] # a class of the scenario
        """Dispatches users until the test stops."""

        def __next__(self) -> dict[str, dict[str, int]]:
            dispatched: dict[str, dict[str, int]] = super().__next__()
            if stopping.is_set():
                raise StopIteration
            return dispatched

    environment.dispatcher_class = EndingDispatcher

    def start_unless_stopping(*args: Any, **kwargs: Any) -> None:
        if stopping.is_set():
            _log.info("The test is stopping: no users are started or moved to other workers.")
        else:
            start(*args, **kwargs)

    runner.start = start_unless_stopping  # type: ignore[method-assign]
    on: Any = environment.events  # Locust does not annotate its hooks
    on.test_stopping.add_listener(lambda **_: stopping.set())
    on.test_stop.add_listener(lambda **_: stopping.clear())


def _start_test(environment: Environment, master: MasterAgent) -> bool:
    """Start a test with the current options; if they are unusable, log why, stop Locust and return False."""
    try:
        settings = read_settings(environment.parsed_options or argparse.Namespace())
        dialect = run_dialect(settings, environment.user_classes)
        master.start(settings)
    except OptionError as error:
        _log.error("The test cannot start: %s", error)
        if environment.runner is not None:
            gevent.spawn(environment.runner.stop)
        return False
    for reduced in reductions(dialect, settings.join_grace):
        _log.info("The dialect %s: %s.", dialect.name, reduced)
    return True


def _start_users(environment: Environment, agent: WorkerAgent) -> None:
    """Start this process's part of a test; if that fails, log why and stop Locust."""
    try:
        agent.start()
    except (OptionError, ClientError) as error:
        _log.error("The test cannot start: %s", error)
        agent.fail(getattr(error, "fault", None) or FaultKind.START, str(error))
        runner = environment.runner
        if runner is not None:
            gevent.spawn(runner.stop)
