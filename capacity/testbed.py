"""The test bed of a run: the server under test, the load generator, and the cores that each of them uses."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from capacity.config.invocation import CHECKOUT
from capacity.config.option_types import AUTO
from capacity.errors import UsageError
from capacity.http_client import Access
from capacity.measure.listening import is_on_this_machine, port_of
from capacity.measure.prometheus import Prometheus
from capacity.measure.prometheus_check import check_prometheus, skew_note
from capacity.measure.series import BUNDLED, Series
from capacity.measure.server_processes import ServerProcesses
from capacity.measure.sources import MetricsPages, PageOfServer, PrometheusSource
from capacity.processes.child_processes import ChildProcesses
from capacity.processes.cores import (
    COMPETING_NOTE,
    Cores,
    LocalServer,
    are_competing,
    cores_beside,
    pinned,
    reserved_cores_note,
    usable_cores,
)
from capacity.processes.environment import describe
from capacity.processes.generator import GeneratorOptions, LoadGenerator
from capacity.processes.remote_workers import RemoteWorkers
from capacity.processes.target import BundledServerOptions, TargetServer
from stampede.dialect_registry import DEFAULT
from stampede.redaction import redact
from stampede.websocket.errors import TargetError
from stampede.websocket.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.config.settings import RunSettings
    from capacity.measure.sources import Source
    from capacity.record.report import Environment
    from capacity.record.step import StepRecord
    from capacity.record.worker import WorkerRecord

_ONE_INSTANCE: Final = (
    "the figures of other instances: those of the server are of the one at --host only; give the page of each with "
    "--metrics"
)

_PROXY_NOTE: Final = (
    "{}, a proxy, listens at --host: CPU, memory and open files are those of the proxy; "
    "use --server-pid to observe the server behind it"
)


class MessageObserver(Protocol):
    """Receives messages about the progress."""

    def message(self, text: str) -> None: ...

    def notice(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """The running load generator and server.

    Attributes:
        folder: for files of the run; deleted at its end.
        prometheus: the Prometheus of `--prometheus`.
    """

    generator: LoadGenerator
    target: TargetServer
    folder: Path
    children: ChildProcesses
    prometheus: Prometheus | None

    def retry_sources(self) -> None:
        """Read sources of metrics again that did not answer in time: each may delay a step once."""
        self.target.retry_source()
        if self.prometheus is not None:
            self.prometheus.retry()


@dataclass(slots=True)
class Testbed:
    """The server under test and the load generator.

    Attributes:
        missing: what cannot be measured in this run at all; `notes`: other remarks on the run.
        processes: number of processes of the load generator.
        remote: its workers on other machines; None for processes of this one.
        prometheus: the Prometheus of `--prometheus`.
        started_at: seconds since the epoch.
        generator: the load generator, once it has started.
        server_processes: the processes of a running server on this machine, if they are known.
        proxy: name of their program if it is a proxy.
    """

    settings: RunSettings
    observer: MessageObserver
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    server_processes: ServerProcesses | None = field(init=False)
    proxy: str | None = field(init=False)
    cores: Cores = field(init=False)
    processes: int = field(init=False)
    remote: RemoteWorkers | None = field(init=False)
    prometheus: Prometheus | None = field(init=False)
    started_at: float = field(init=False)
    generator: LoadGenerator | None = field(init=False, default=None)
    _environment: Environment | None = field(init=False, default=None)
    _scrape_interval_s: float | None = field(init=False, default=None)
    _reserved_note: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.prometheus = Prometheus(self.settings.prometheus) if self.settings.prometheus else None
        self.server_processes = _find_processes(self.settings.host, self.settings.server_pid)
        self.proxy = self.server_processes.proxy if self.server_processes else None
        if self.proxy is not None:
            self.notes.append(_PROXY_NOTE.format(self.proxy))
        self.cores = self._assign_cores(usable_cores())
        self.remote = self._remote_workers()
        self.processes = self.settings.expect_workers or self.settings.processes or len(self.cores.generator)
        self.started_at = time.time()

    @property
    def dialect(self) -> str:
        """Name of the server's protocol: of the option, or of the classes of a locustfile."""
        given = self.settings.dialect
        if given is not None:
            return given.name
        return (self.generator.dialect if self.generator else None) or DEFAULT

    @property
    def environment(self) -> Environment:
        """The machine and the software of the run, described once: that starts processes."""
        if self._environment is None:
            cores = self.cores if self.remote is None else Cores(self.cores.server, ())
            self._environment = describe(cores, self.processes, self.started_at, CHECKOUT)
        return self._environment

    def workers(self, steps: Sequence[StepRecord]) -> list[WorkerRecord]:
        """Return the processes of the load generator, with the number of `steps` that each made invalid."""
        if self.generator is None:
            return []
        at_fault = Counter(name for step in steps for name in step.invalid_workers)
        return [
            msgspec.structs.replace(worker, invalid_steps=at_fault[worker.full_name])
            for worker in self.generator.workers()
        ]

    def _assign_cores(self, usable: Sequence[int]) -> Cores:
        """Assign the cores of this machine to server and load generator, and note if there are too few."""
        if self.settings.host is None:
            return Cores.for_bundled_server(usable, self.settings.workers)
        server = _local_server(self.settings.host, self.server_processes)
        cores = cores_beside(usable, server)
        if server is not None:
            if not are_competing(usable, cores):
                self._reserved_note = reserved_cores_note(usable, cores)
            elif self.settings.expect_workers is None:
                self.notes.append(COMPETING_NOTE)
        return cores

    @contextlib.contextmanager
    def running(self) -> Iterator[Running]:
        """Start the server, unless it runs already, and the load generator; end them with the block.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or a connection failed.
        """
        # The few percent of CPU of this process must not use the server's core.
        with pinned(self.cores.generator), tempfile.TemporaryDirectory(prefix="stampede-") as name:
            children = ChildProcesses()
            try:
                with children:
                    yield self._start(Path(name), children)
            finally:
                children.end()  # a signal may have interrupted the end of the block; it comes only once

    def _start(self, folder: Path, children: ChildProcesses) -> Running:
        self._check_prometheus()
        if self.remote is not None:
            self.remote.check()
        if self._reserved_note:
            self.observer.message(self._reserved_note)
        target = self._start_target(folder, children)
        self.generator = self._start_generator(target.url, folder, children)
        self.missing.extend(target.probe())
        if len(self.settings.load.connect_to) > 1 and not (self.settings.metrics or self.prometheus):
            self.missing.append(_ONE_INSTANCE)
        return Running(self.generator, target, folder, children, self.prometheus)

    def _start_generator(self, host: str, folder: Path, children: ChildProcesses) -> LoadGenerator:
        """Start the load generator, which checks a server that was running before."""
        self.observer.message("starting the load generator")
        settings, scenario = self.settings, self.settings.scenario
        options = GeneratorOptions(
            host=host,
            locustfile=str(Path(scenario.locustfile).resolve() if scenario.locustfile else CHECKOUT / "loadtest"),
            mix=scenario.mix,
            environment=settings.load.environment(os.environ),
            processes=self.processes,
            cores=self.cores.generator,
            remote=self.remote,
        )
        generator = LoadGenerator.start(options, folder=folder, children=children, progress=self.observer.message)
        generator.wait_started()
        if settings.host is not None or scenario.locustfile is not None:  # own users may have another dialect
            self.observer.message("checking the server")
            generator.check_server()
        if self.remote is not None:
            command = self.remote.command(self.remote.address(settings.host))
            self.observer.notice(f"start {self.processes} workers on other machines, each with: {command}")
        generator.wait_ready()
        return generator

    def _remote_workers(self) -> RemoteWorkers | None:
        settings = self.settings
        if settings.expect_workers is None:
            return None
        return RemoteWorkers(
            settings.expect_workers, settings.master_bind_host, settings.master_bind_port, settings.worker_timeout
        )

    def _check_prometheus(self) -> None:
        """Evaluate every expression once: a mistake in one, or too few scrapes, must show before the run starts."""
        if self.prometheus is None:
            return
        settings = self.settings
        self._scrape_interval_s = check_prometheus(
            self.prometheus, settings.slos, settings.window, is_source=not settings.metrics, series=self._series
        )
        if (note := skew_note(self.prometheus)) is not None:
            self.notes.append(note)

    @property
    def _series(self) -> Series:
        """The server's series.

        Raises:
            UsageError: the dialect has a mistake in them.
        """
        dialect = self.settings.dialect
        return BUNDLED if dialect is None else Series.of(dialect)

    def _source(self, host: str) -> Source:
        """Return the source of the figures of the server at a WebSocket URL."""
        if self.prometheus is not None and not self.settings.metrics:
            return PrometheusSource(self.prometheus, self._scrape_interval_s, self._series)
        load = self.settings.load
        try:
            tls = client_context(verify=load.verifies_tls, ca_file=load.ca_file)
        except TargetError as error:
            raise UsageError(str(error)) from None
        access = Access(urlsplit(host).hostname or "", load.http_headers, tls)
        if self.settings.metrics:
            return MetricsPages(self.settings.metrics, access, self._series)
        return PageOfServer(host, load.path or "", access, self._series)

    def _start_target(self, folder: Path, children: ChildProcesses) -> TargetServer:
        if self.settings.host is not None:
            return TargetServer.running(
                self.settings.host,
                self._source(self.settings.host),
                self.server_processes,
                replaces_pages=self.settings.server_pid is not None,
                endpoints=self.settings.load.connect_to,
            )
        self.observer.message("starting the server")
        options = BundledServerOptions(
            work_per_message=self.settings.work_per_message,
            message_rate=self.settings.load.message_rate,
            workers=self.settings.workers,
            cores=self.cores,
            address=self.remote.address(None) if self.remote is not None else None,
        )
        return TargetServer.bundled(options, folder=folder, checkout=CHECKOUT, children=children)


def _find_processes(host: str | None, given: int | str | None) -> ServerProcesses | None:
    """Return the processes of the server at `--host`: those that `--server-pid` names, or that listen there.

    Raises:
        UsageError: there is no process that `--server-pid` names.
    """
    if host is None:
        return None
    if isinstance(given, int):
        return ServerProcesses.of_pid(given)
    found = ServerProcesses.listening_at(host)
    if found is None and given == AUTO:
        where = "on this machine" if is_on_this_machine(host) else "here: that address is of another machine"
        raise UsageError(f"--server-pid auto: no process that this user may see listens at {redact(host)} {where}")
    return found


def _local_server(host: str, processes: ServerProcesses | None) -> LocalServer | None:
    """Return the server if it runs on this machine; its processes may be unknown, as for a container."""
    if processes is not None:
        return LocalServer(processes.serving(port_of(host)), processes.cores())
    return LocalServer() if is_on_this_machine(host) else None
