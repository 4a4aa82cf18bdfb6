"""Start-up checks: unusable options, a taken port or a wrong address end in one line and exit code 2."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import psutil
from locust.runners import LocalRunner, MasterRunner

from stampede.locust.hooks import can_check
from stampede.locust.http_steps import check_steps
from stampede.locust.output.summary_files import check_files
from stampede.locust.preflight import check_server
from stampede.locust.settings import (
    OptionError,
    check_processes,
    check_shape,
    host_of,
    http_base_url,
    read_settings,
    run_dialect,
)
from stampede.waiting import wait_until
from stampede.websocket.errors import ClientError

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import Runner

    from stampede.dialects.base import Dialect
    from stampede.locust.settings import LoadTestSettings

_USAGE_ERROR: Final = 2
_WORKER_EXIT_SECONDS: Final = 5.0


def check_or_exit(environment: Environment, runner: Runner) -> None:
    """Check the options and, without a web page, the server; exit with one line and code 2 if a check fails."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        _check_web_port(options)
        settings = read_settings(options)
        check_processes(settings, options.processes or 1)
        check_files(settings)
        # With the class picker, the page's form says which of the classes run.
        dialect = run_dialect(settings, [] if options.class_picker else environment.user_classes)
        if options.headless or options.autostart:
            check_shape(settings, options.run_time)
        if environment.host or options.headless:
            # Remote workers may reach a server that their master cannot reach.
            users_run_here = isinstance(runner, LocalRunner) or options.processes
            _check_host(environment, settings, dialect, connects=options.headless and users_run_here)
    except (OptionError, ClientError) as error:
        exit_with_usage_error(runner, options, str(error))


def check_host(environment: Environment) -> None:
    """Check the server from this process, as a run without a web page does at its start.

    Raises:
        OptionError: an option is unusable.
        ClientError: the server cannot be reached, or does not implement the dialect.
    """
    settings = read_settings(environment.parsed_options or argparse.Namespace())
    _check_host(environment, settings, run_dialect(settings, environment.user_classes), connects=True)


def _check_host(environment: Environment, settings: LoadTestSettings, dialect: Dialect, *, connects: bool) -> None:
    """Check the address of the server, and the server itself if it `connects` and the users do nothing of their own."""
    classes, options = environment.user_classes, environment.parsed_options
    host = host_of(classes, environment.host)
    check_server(
        host,
        settings,
        settings.path or dialect.path,
        dialect if connects and can_check(classes, dialect) else None,
        # An unusable address is reported by `check_server`.
        lambda accounts: check_steps(dialect, accounts, http_base_url(classes, options, host)),
    )


def exit_with_usage_error(runner: Runner, options: argparse.Namespace, message: str) -> NoReturn:
    """Print one line, stop the workers that are already forked, and exit with code 2."""
    print(f"locust: error: {message}", file=sys.stderr, flush=True)
    _stop_forked_workers(runner, options.processes or 0)
    sys.exit(_USAGE_ERROR)


# --- the web page's port ---


def _check_web_port(options: argparse.Namespace) -> None:
    """Check that the web page's port is free: Locust 2.47 reports a taken one by a traceback.

    Raises:
        OptionError: the port cannot be bound.
    """
    if options.headless:
        return
    host = "" if options.web_host == "*" else options.web_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # `create_server` sets SO_REUSEADDR, as Locust does: connections in TIME_WAIT do not block the port.
        socket.create_server((host, options.web_port), family=family).close()
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else f"{host}: {error.strerror}"
        raise OptionError(f"--web-port {options.web_port}: {why}; give another") from None


# --- forked workers ---


def _stop_forked_workers(runner: Runner, processes: int) -> None:
    """Stop the workers that `--processes` has forked, and wait until they have exited.

    Otherwise they would try to reach the master for a minute. In Locust 2.47 a worker that receives `quit` before its
    runner is set up never exits. So `quit` is sent after each worker's first heartbeat.
    """
    if not isinstance(runner, MasterRunner) or not processes:
        return
    alive = set[str]()
    on: Any = runner.environment.events  # Locust does not annotate its hooks
    on.heartbeat_sent.add_listener(lambda client_id, **_: alive.add(client_id))
    wait_until(lambda: len(alive) >= processes, _WORKER_EXIT_SECONDS)
    runner.quit()
    if not wait_until(lambda: not _running_children(), _WORKER_EXIT_SECONDS):
        for child in _running_children():
            child.kill()


def _running_children() -> list[psutil.Process]:
    """Return the forked processes that still run; Locust itself reaps them when it exits."""
    return [child for child in psutil.Process().children() if _is_running(child)]


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
