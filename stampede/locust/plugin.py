"""Adds the load test to Locust: options, agents, metrics, web page and output files.

Importing this module registers Locust listeners, as a locustfile does. Only `stampede.locust.users` imports it.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Final

import gevent
from locust import events
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from stampede.locust.agents.runners import AGENT_KEY, set_up_local, set_up_master, set_up_worker
from stampede.locust.load_shape import load_shape
from stampede.locust.options import add_arguments
from stampede.locust.output.exporter import serve
from stampede.locust.output.output_files import complete_csv_files, extend_html_report, write_html_report
from stampede.locust.output.repeated_tracebacks import log_each_exception_once
from stampede.locust.startup import check_or_exit, exit_with_usage_error
from stampede.locust.web.page import extend

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment
    from locust.runners import Runner
    from locust.web import WebUI

    from stampede.locust.agents.master import MasterAgent
    from stampede.locust.agents.worker import WorkerAgent
    from stampede.locust.settings import LoadTestSettings
    from stampede.pool.user_pool import UserPool

_ASSIGNMENT_SECONDS: Final = 10.0
"""How long a user waits for its worker's assignment."""

_log = logging.getLogger(__name__)


def running_test(environment: Environment) -> tuple[UserPool, LoadTestSettings] | None:
    """Return this process's users and the settings of the running test; None if none has started, or its end has begun.

    Blocks while a worker that has just joined waits for its assignment.
    """
    agent: WorkerAgent | None = vars(environment).get(AGENT_KEY)
    if agent is not None:
        agent.await_assignment(_ASSIGNMENT_SECONDS)
    if agent is None or agent.failed or not agent.may_start_users or agent.pool is None or agent.settings is None:
        return None
    return agent.pool, agent.settings


def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    add_arguments(parser)


def _on_init(environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
    _defer_ctrl_c()
    _raise_file_limit()
    log_each_exception_once()
    if isinstance(runner, WorkerRunner):
        set_up_worker(environment, runner)
        return
    if not isinstance(runner, LocalRunner | MasterRunner):
        raise TypeError(f"unknown runner: {runner!r}")
    if isinstance(runner, LocalRunner):
        master = set_up_local(environment, runner)
    else:
        master = set_up_master(environment, runner)  # before anything that lets worker messages in
    check_or_exit(environment, runner)
    _export_metrics(environment, runner, master)
    _follow_resets(environment, master)
    complete_csv_files()
    extend_html_report(master)
    on: Any = environment.events  # Locust does not annotate its hooks
    on.quit.add_listener(lambda **_: write_html_report(environment))

    def set_shape(name: str) -> None:
        environment.shape_class = load_shape(environment, master, name)

    set_shape(getattr(environment.parsed_options, "shape", ""))
    if web_ui is not None:
        extend(web_ui, master, getattr(environment.parsed_options, "web_base_path", None) or "", set_shape)


def _defer_ctrl_c() -> None:
    """Raise KeyboardInterrupt in Locust's main greenlet only, while that waits.

    Python raises it in the running code. In a reactor it would discard data that has just been read, and the ledger
    would count those messages as lost.
    """
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)


def _raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit; Locust raises it to 10 000 only."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _export_metrics(environment: Environment, runner: LocalRunner | MasterRunner, master: MasterAgent) -> None:
    """Serve Prometheus metrics on `--prometheus-port`, at the address of Locust's web page."""
    options = environment.parsed_options
    port = getattr(options, "prometheus_port", None)
    if options is None or port is None:
        return
    try:
        server = serve(runner, master, (getattr(options, "web_host", ""), port))
    except OSError as error:
        exit_with_usage_error(runner, options, f"--prometheus-port {port}: {os.strerror(error.errno or 0)}")
    _log.info("Exporting Prometheus metrics on port %s, path /metrics", server.server_port)


def _follow_resets(environment: Environment, master: MasterAgent) -> None:
    """Reset our counts when Locust resets its statistics: by its web page, or with `--reset-stats` after the ramp."""
    on: Any = environment.events  # Locust does not annotate its hooks

    def on_spawning_complete(**_: Any) -> None:
        if environment.reset_stats:
            master.reset()

    on.reset_stats.add_listener(lambda **_: master.reset())
    on.spawning_complete.add_listener(on_spawning_complete)


def _register(on: Any) -> None:
    on.init_command_line_parser.add_listener(_on_parser)
    on.init.add_listener(_on_init)


_register(events)
