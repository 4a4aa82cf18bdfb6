"""Ties the pool to Locust: its events, its workers, its web page.

Importing this module registers listeners, because that is how a locustfile takes part in Locust. The user files import
it, and are imported by nobody, so it happens once.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import socket
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import gevent
import msgspec
import psutil
from locust import argument_parser, events, runners
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from stampede.generator_faults import FaultKind
from stampede.locust.assignment import Assigner, Assignment, user_classes_of
from stampede.locust.exporter import serve
from stampede.locust.load_shape import load_shape
from stampede.locust.master import STORM, MasterAgent, wait_until
from stampede.locust.options import OptionError, add_arguments, check_processes, check_shape
from stampede.locust.options import read as read_options
from stampede.locust.preflight import check_server
from stampede.locust.repeated_tracebacks import log_each_exception_once
from stampede.locust.web.output_files import complete_csv_files, hide_secrets_in_html, write_html_report
from stampede.locust.web.page import extend
from stampede.locust.worker import WorkerAgent
from stampede.measure.snapshot import Report
from stampede.measure.storm import Manner
from stampede.pool.user_pool import MAX_DRAIN_SECONDS
from stampede.websocket.target import DEFAULT_HOST, ClientError

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment
    from locust.rpc import Message
    from locust.runners import Runner
    from locust.web import WebUI

    from stampede.locust.options import Settings
    from stampede.pool.user_pool import UserPool

REPORT_SECONDS: Final = 0.5
"""How often a worker reports, in place of Locust's three seconds: what the master shows is never older than one."""

_USAGE: Final = 2
_DISMISS_SECONDS: Final = 5.0
_ASSIGNMENT_SECONDS: Final = 10.0
_JOIN: Final = "stampede_join"
_ASSIGN: Final = "stampede_assign"
_DRAIN: Final = "stampede_drain"
_KEY: Final = "stampede"

_log = logging.getLogger(__name__)


def pool_of(environment: Environment) -> tuple[UserPool, Settings] | None:
    """Return the pool of this process, and what the options mean; None when the test could not start.

    Blocks while a worker that has just come waits for its part of a test.
    """
    agent: WorkerAgent | None = vars(environment).get(_KEY)
    if agent is not None:
        agent.await_assignment(_ASSIGNMENT_SECONDS)
    if agent is None or agent.failed or agent.pool is None or agent.settings is None:
        return None
    return agent.pool, agent.settings


def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    add_arguments(parser)


def _on_init(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    _take_ctrl_c_between_turns()
    _raise_file_limit()
    log_each_exception_once()
    if isinstance(runner, WorkerRunner):
        _set_up_worker(environment, runner)
        return
    if not isinstance(runner, LocalRunner | MasterRunner):
        raise TypeError(f"unknown runner: {runner!r}")
    if isinstance(runner, LocalRunner):
        master = _set_up_local(environment, runner)
    else:
        master = _set_up_master(environment, runner)  # before anything that lets workers speak
    _check_or_exit(environment, runner)
    _export(environment, runner, master)
    _follow_resets(environment, master)
    complete_csv_files()
    hide_secrets_in_html()
    on: Any = environment.events  # Locust does not annotate its hooks
    on.quit.add_listener(lambda **_: write_html_report(environment))

    def set_shape(name: str) -> None:
        environment.shape_class = load_shape(environment, master, name)

    set_shape(getattr(environment.parsed_options, "shape", ""))
    if web_ui is not None:
        extend(web_ui, master, getattr(environment.parsed_options, "web_base_path", None) or "", set_shape)


def _take_ctrl_c_between_turns() -> None:
    """Let Ctrl-C interrupt Locust's own greenlet where it waits, as Locust expects, and nothing else.

    Python would raise it in whatever is running: a reactor would then drop what it has just been told of, and messages
    that had come would count as lost.
    """
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)


def _export(environment: Environment, runner: LocalRunner | MasterRunner, master: MasterAgent) -> None:
    """Serve Prometheus metrics if asked to, on the interface of Locust's pages."""
    options = environment.parsed_options
    port = getattr(options, "prometheus_port", None)
    if options is None or port is None:
        return
    try:
        server = serve(runner, master, (getattr(options, "web_host", ""), port))
    except OSError as error:
        print(f"locust: error: --prometheus-port {port}: {os.strerror(error.errno or 0)}", file=sys.stderr, flush=True)
        _dismiss_workers(runner, options.processes or 0)
        sys.exit(_USAGE)
    _log.info("Exporting Prometheus metrics at port %s, path /metrics", server.server_port)


def _follow_resets(environment: Environment, master: MasterAgent) -> None:
    """Count from 0 whenever Locust's statistics do: on its page's command, or with `--reset-stats` after the ramp."""
    on: Any = environment.events  # Locust does not annotate its hooks

    def on_spawning_complete(**_: Any) -> None:
        if environment.reset_stats:
            master.reset()

    on.reset_stats.add_listener(lambda **_: master.reset())
    on.spawning_complete.add_listener(on_spawning_complete)


def _raise_file_limit() -> None:
    """Allow as many sockets as the system lets us; Locust itself stops at 10 000."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_or_exit(environment: Environment, runner: Runner) -> None:
    """End with one line and exit code 2 when the options or, without a web page, the server are no good."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        _check_web_port(options)
        settings = read_options(options)
        check_processes(settings, options.processes or 1)
        if options.headless or options.autostart:
            check_shape(settings, options.run_time)
        if environment.host or options.headless:
            # Remote workers may reach what their master does not.
            from_here = options.headless and (isinstance(runner, LocalRunner) or options.processes)
            check_server(environment.host or DEFAULT_HOST, settings, connect_too=bool(from_here))
    except (OptionError, ClientError) as error:
        print(f"locust: error: {error}", file=sys.stderr, flush=True)
        _dismiss_workers(runner, options.processes or 0)
        sys.exit(_USAGE)


def _check_web_port(options: argparse.Namespace) -> None:
    """Make sure that the web page can be served: Locust 2.47 tells in a traceback that it cannot.

    Raises:
        OptionError: it cannot.
    """
    if options.headless:
        return
    host = "" if options.web_host == "*" else options.web_host
    try:
        # As Locust does it: connections that linger there are in nobody's way.
        socket.create_server((host, options.web_port), family=_family(host)).close()
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else f"{host}: {error.strerror}"
        raise OptionError(f"--web-port {options.web_port}: {why}; give another") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _dismiss_workers(runner: Runner, processes: int) -> None:
    """Send the workers that were forked already home, and leave none behind.

    Alone they would look for their master for a minute. In Locust 2.47 one that is told to quit before its runner is
    complete stays for good, deaf to its master, so each is told only after its first heartbeat.
    """
    if not isinstance(runner, MasterRunner) or not processes:
        return
    beating = set[str]()
    on: Any = runner.environment.events  # Locust does not annotate its hooks
    on.heartbeat_sent.add_listener(lambda client_id, **_: beating.add(client_id))
    wait_until(lambda: len(beating) >= processes, _DISMISS_SECONDS)
    runner.quit()
    if not wait_until(lambda: not _living_children(), _DISMISS_SECONDS):
        for child in _living_children():
            child.kill()


def _living_children() -> list[psutil.Process]:
    """Return the processes forked by this one that still run; Locust waits for them itself at its end."""
    return [child for child in psutil.Process().children() if _runs(child)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _start(environment: Environment, agent: WorkerAgent) -> None:
    """Begin a test, or say why not and end it."""
    try:
        agent.start()
    except (OptionError, ClientError) as error:
        _log.error("The test cannot start: %s", error)
        agent.fail(getattr(error, "fault", None) or FaultKind.START, str(error))
        runner = environment.runner
        if runner is not None:
            gevent.spawn(runner.stop)


def _begin(environment: Environment, master: MasterAgent) -> bool:
    """Begin a test with the options as they are now, or say once why not and end it; return whether it has begun."""
    try:
        master.begin(read_options(environment.parsed_options or argparse.Namespace()))
    except OptionError as error:
        _log.error("The test cannot start: %s", error)
        if environment.runner is not None:
            gevent.spawn(environment.runner.stop)
        return False
    return True


def _set_up_local(environment: Environment, runner: LocalRunner) -> MasterAgent:
    agent = vars(environment)[_KEY] = WorkerAgent(environment, runner)
    master = MasterAgent(environment, runner, agent)

    def on_quitting(**_: Any) -> None:
        agent.drain()
        master.conclude()

    on: Any = environment.events  # Locust does not annotate its hooks

    def on_start(**_: Any) -> None:
        if _begin(environment, master):
            _start(environment, agent)

    def on_stopping(**_: Any) -> None:
        agent.drain()
        master.rest()

    on.test_start.add_listener(on_start)
    on.test_stopping.add_listener(on_stopping)
    on.test_stop.add_listener(lambda **_: agent.close())
    on.quitting.add_listener(on_quitting)
    return master


def _set_up_worker(environment: Environment, runner: WorkerRunner) -> None:
    agent = vars(environment)[_KEY] = WorkerAgent(environment, runner)
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS
    # Locust 2.47 asks for its defaults once per option of each spawn message, and parses its whole command line every
    # time: 200 ms in which this process serves nobody.
    argument_parser.default_args_dict = cache(argument_parser.default_args_dict)

    def start(**_: Any) -> None:
        if agent.take_assigned():
            _start(environment, agent)
            agent.waiting = False

    def on_assign(msg: Message, **_: Any) -> None:
        agent.assign(msgspec.convert(msg.data, Assignment))
        if agent.waiting:
            start()

    send_stats = runner._send_stats  # noqa: SLF001 # there is no other way to send them on command

    def send_all() -> None:
        """Send Locust's statistics and our report as of the same moment, so that both always agree on the master."""
        agent.update_table()
        send_stats()

    def finish(**_: Any) -> None:
        agent.drain()
        if runner.connected:
            send_all()  # the last ones before the master stops listening

    def close(**_: Any) -> None:
        agent.close()
        if runner.connected:
            send_all()  # before a next test can begin

    def on_report(data: dict[str, Any], **_: Any) -> None:
        report = agent.report()
        if report is not None:
            data[_KEY] = msgspec.to_builtins(report)

    def on_storm(msg: Message, **_: Any) -> None:
        agent.storm(msg.data["id"], msg.data["share"], Manner(msg.data["manner"]))

    runner._send_stats = send_all  # type: ignore[method-assign] # noqa: SLF001
    runner.register_message(_ASSIGN, on_assign)
    runner.register_message(STORM, on_storm)
    runner.register_message(_DRAIN, finish, concurrent=True)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.report_to_master.add_listener(on_report)
    on.test_start.add_listener(start)
    on.test_stopping.add_listener(finish)
    on.test_stop.add_listener(close)
    on.quitting.add_listener(finish)
    # A test may be under way. Its first messages may even have come before there was anybody to take them.
    agent.waiting = runner.worker_state != runners.STATE_INIT
    agent.ask = lambda: runner.send_message(_JOIN)
    agent.ask()


def _set_up_master(environment: Environment, runner: MasterRunner) -> MasterAgent:
    master = MasterAgent(environment, runner, None)
    assigner = Assigner()

    def send(id_: str, assignment: Assignment) -> None:
        runner.send_message(_ASSIGN, msgspec.to_builtins(assignment), id_)

    def on_start(**_: Any) -> None:
        if not _begin(environment, master):
            return
        ids = [client.id for client in runner.clients.all]
        master.expect(client.id for client in runner.clients.all if client.state != runners.STATE_MISSING)
        for id_, assignment in assigner.begin(master.run, ids, user_classes_of(runner.user_classes)).items():
            send(id_, assignment)

    def on_join(msg: Message, **_: Any) -> None:
        assignment = assigner.join(msg.node_id)
        if assignment is not None:
            master.expect([msg.node_id])
            if assignment.partition.late:
                _log.info("Worker %s joins in mid-run: its users get rooms of their own.", msg.node_id)
            send(msg.node_id, assignment)

    def on_report(data: dict[str, Any], **_: Any) -> None:
        if _KEY in data:
            master.take(msgspec.convert(data[_KEY], Report))

    def drain(**_: Any) -> None:
        ids = {client.id for client in runner.clients.running + runner.clients.spawning}
        runner.send_message(_DRAIN)
        if not wait_until(lambda: master.all_final(ids), MAX_DRAIN_SECONDS + 5):
            _log.warning("Not all workers have sent their last word; their last but one is counted.")
        master.rest()

    def on_quitting(**_: Any) -> None:
        if runner.state in (runners.STATE_SPAWNING, runners.STATE_RUNNING):
            drain()
        master.conclude()

    runner.register_message(_JOIN, on_join)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.test_start.add_listener(on_start)
    on.test_stop.add_listener(lambda **_: assigner.end())
    on.worker_report.add_listener(on_report)
    on.test_stopping.add_listener(drain)
    on.quitting.add_listener(on_quitting)
    return master


def _register(on: Any) -> None:
    on.init_command_line_parser.add_listener(_on_parser)
    on.init.add_listener(_on_init)


_register(events)
