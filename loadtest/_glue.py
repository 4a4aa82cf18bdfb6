"""Ties the herd to Locust: its events, its workers, its web page.

Importing this module registers listeners, because that is how a locustfile takes part in Locust. The user files import
it, and are imported by nobody, so it happens once.
"""

from __future__ import annotations

import logging
import resource
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import gevent
import msgspec
from locust import events, runners
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from loadtest import _options
from loadtest._coordinator import Coordinator, wait_until
from loadtest._herd import LONGEST_DRAIN
from loadtest._member import Member
from loadtest._places import Share
from loadtest._probe import probe
from loadtest._report import Report
from loadtest._target import DEFAULT_HOST, ClientError

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment
    from locust.rpc import Message
    from locust.runners import Runner
    from locust.web import WebUI

    from loadtest._herd import Herd
    from loadtest._options import Settings

REPORT_SECONDS: Final = 0.5
"""How often a worker reports, in place of Locust's three seconds: what the master shows is never older than one."""

_USAGE: Final = 2
_SHARE: Final = "stampede_share"
_DRAIN: Final = "stampede_drain"
_KEY: Final = "stampede"

_log = logging.getLogger(__name__)


def herd_of(environment: Environment) -> tuple[Herd, Settings] | None:
    """Return the herd of this process, and what the options mean; None when the test could not start."""
    member = cast("Member", vars(environment)[_KEY])
    if member.herd is None or member.settings is None:
        return None
    return member.herd, member.settings


@events.init_command_line_parser.add_listener
def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    _options.add_arguments(parser)


@events.init.add_listener
def _on_init(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    _raise_file_limit()
    if isinstance(runner, WorkerRunner):
        _set_up_worker(environment, runner)
        return
    _check_or_exit(environment, runner)
    if isinstance(runner, LocalRunner):
        coordinator = _set_up_local(environment, runner)
    else:
        coordinator = _set_up_master(environment, cast("MasterRunner", runner))
    if web_ui is not None and web_ui.app is not None:
        web_ui.app.add_url_rule(
            f"{web_ui_base(environment)}/stampede/snapshot", "stampede_snapshot", coordinator.snapshot
        )


def web_ui_base(environment: Environment) -> str:
    """Return the prefix under which Locust's pages live."""
    options = environment.parsed_options
    return (getattr(options, "web_base_path", None) or "").rstrip("/")


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
        settings = _options.read(options)
        if environment.host or options.headless:
            # Remote workers may reach what their master does not.
            from_here = options.headless and (isinstance(runner, LocalRunner) or options.processes)
            probe(environment.host or DEFAULT_HOST, settings.path, verify=settings.verify_tls, connect_too=from_here)
    except (_options.OptionError, ClientError) as error:
        print(f"locust: error: {error}", file=sys.stderr, flush=True)
        sys.exit(_USAGE)


def _start(environment: Environment, member: Member) -> None:
    """Begin a test, or say why not and end it."""
    try:
        member.start()
    except (_options.OptionError, ClientError) as error:
        _log.error("The test cannot start: %s", error)
        runner = environment.runner
        if runner is not None:
            gevent.spawn(runner.stop)


def _set_up_local(environment: Environment, runner: LocalRunner) -> Coordinator:
    member = vars(environment)[_KEY] = Member(environment, runner)
    coordinator = Coordinator(environment, runner, member)

    def on_quitting(**_: Any) -> None:
        member.drain()
        coordinator.conclude()

    environment.events.test_start.add_listener(lambda **_: _start(environment, member))
    environment.events.test_stopping.add_listener(lambda **_: member.drain())
    environment.events.test_stop.add_listener(lambda **_: member.close())
    environment.events.quitting.add_listener(on_quitting)
    return coordinator


def _set_up_worker(environment: Environment, runner: WorkerRunner) -> None:
    member = vars(environment)[_KEY] = Member(environment, runner)
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS

    def on_share(msg: Message, **_: Any) -> None:
        member.run = msg.data["run"]
        member.share = Share(*msg.data["shares"][runner.client_id])

    def finish(**_: Any) -> None:
        member.drain()
        if runner.connected:
            runner._send_stats()  # noqa: SLF001 # the last one before the master stops listening; there is no other way

    def on_report(data: dict[str, Any], **_: Any) -> None:
        report = member.report()
        if report is not None:
            data[_KEY] = msgspec.to_builtins(report)

    runner.register_message(_SHARE, on_share)
    runner.register_message(_DRAIN, finish, concurrent=True)
    environment.events.report_to_master.add_listener(on_report)
    environment.events.test_start.add_listener(lambda **_: _start(environment, member))
    environment.events.test_stopping.add_listener(finish)
    environment.events.test_stop.add_listener(lambda **_: member.close())
    environment.events.quitting.add_listener(finish)


def _set_up_master(environment: Environment, runner: MasterRunner) -> Coordinator:
    coordinator = Coordinator(environment, runner, None)

    def on_start(**_: Any) -> None:
        coordinator.begin()
        ready = sorted((runner.get_worker_index(client.id), client.id) for client in runner.clients.all)
        shares = {id_: (position, len(ready)) for position, (_, id_) in enumerate(ready)}
        runner.send_message(_SHARE, {"run": coordinator.run, "shares": shares})

    def on_report(data: dict[str, Any], **_: Any) -> None:
        if _KEY in data:
            coordinator.take(msgspec.convert(data[_KEY], Report))

    def drain(**_: Any) -> None:
        ids = {client.id for client in runner.clients.running + runner.clients.spawning}
        runner.send_message(_DRAIN)
        if not wait_until(lambda: coordinator.all_final(ids), LONGEST_DRAIN + 5):
            _log.warning("Not all workers have sent their last word; their last but one is counted.")

    def on_quitting(**_: Any) -> None:
        if runner.state in (runners.STATE_SPAWNING, runners.STATE_RUNNING):
            drain()
        coordinator.conclude()

    environment.events.test_start.add_listener(on_start)
    environment.events.worker_report.add_listener(on_report)
    environment.events.test_stopping.add_listener(drain)
    environment.events.quitting.add_listener(on_quitting)
    return coordinator
