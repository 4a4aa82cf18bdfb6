"""The whole of `report.json`, and how to read it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from capacity.record.answer import Answer
from capacity.record.drill import DrillRecord
from capacity.record.model import Model, Scaling, Sizing
from capacity.record.profile import RunProfile
from capacity.record.step import Cause, StepRecord, Verdict
from capacity.record.storm import StormAnswer, StormRecord
from capacity.record.worker import WorkerRecord
from stampede.measure.address_pairs import AddressPair

if TYPE_CHECKING:
    from pathlib import Path

REPORT_VERSION = 1
IN_PROGRESS = "in progress"
DEFAULT_DIALECT = "stampede"
DEFAULT_SCENARIO = "ChattingUser=1"

T = TypeVar("T", StepRecord, StormRecord)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the software of a run.

    Attributes:
        started_at: start of the run, in UTC.
        host: name of the machine.
        system: operating system, its version, and the architecture.
        cpu_model: name of the processor.
        cores, memory_bytes: of the machine.
        python: implementation and version of Python.
        libraries: version of each library that the server or the load generator is built on, by name.
        revision: git revision of the checkout, with `-dirty` if files differ from it.
        server_cores, generator_cores: numbers of the cores that each was pinned to; None without pinning.
        generator_processes: number of processes of the load generator.
        file_limit: limit on open files of a process.
    """

    started_at: str
    host: str
    system: str
    cpu_model: str | None
    cores: int
    memory_bytes: int
    python: str
    libraries: dict[str, str]
    revision: str | None
    server_cores: list[int] | None
    generator_cores: list[int] | None
    generator_processes: int
    file_limit: int


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of `report.json`.

    Attributes:
        version: version of this format.
        status: `complete`, `partial`, or `in progress` as long as the run goes on.
        status_reason: why it is partial.
        answer: the answer.
        steps: the steps, in the order in which they were measured.
        levels: the SLOs.
        settings: the options of the run, by name; secrets are redacted.
        environment: the machine and the software.
        missing: figures that could not be measured at all, e.g. the server's own figures without `/metrics`.
        command: how to repeat the run; its secrets are redacted.
        duration_s: duration of the run.
        limits: limits of the load generator: `cpu` in cores, `lag_ms`.
        model: the scalability model; None with too few steps.
        sizing: what `--target-users` need; None without this option.
        scaling: how capacity grows with server processes; None without `--workers-list`.
        storm: the answer of a run with `--storm`; None without this option.
        drill: the record of a drill; None for other runs, or if its command did not run.
        notes: other remarks on the run, e.g. that server and load generator shared cores.
        workers: the processes of the load generator.
        dialect: name of the server's protocol.
        address_pairs: deliveries by the addresses of sender and receiver, in the last step that failed; without one,
            the sum of the steps that passed. Empty if all users were at one address.
        profile: where the server's CPU time goes; None without `--profile`.
    """

    version: int = REPORT_VERSION
    status: str
    status_reason: str | None
    answer: Answer
    steps: list[StepRecord]
    levels: list[str]
    settings: dict[str, str | int | float | bool | None]
    environment: Environment
    missing: list[str]
    command: str
    duration_s: float
    limits: dict[str, float] = {}
    model: Model | None = None
    sizing: Sizing | None = None
    scaling: Scaling | None = None
    storm: StormAnswer | None = None
    drill: DrillRecord | None = None
    notes: list[str] = []
    workers: list[WorkerRecord] = []
    dialect: str = DEFAULT_DIALECT
    address_pairs: list[AddressPair] = []
    profile: RunProfile | None = None

    @property
    def scenario(self) -> str:
        """The user classes and their weights; reports of earlier versions have them in the settings only."""
        return self.answer.scenario or str(self.settings.get("mix") or DEFAULT_SCENARIO)


def read_report(path: Path) -> RunReport:
    """Read a `report.json`, including one written before steps recorded their causes.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: the file is not a report.
    """
    report = msgspec.json.decode(path.read_bytes(), type=RunReport)
    storm = report.storm
    if storm is not None:
        storm = msgspec.structs.replace(storm, storms=[_with_causes(one) for one in storm.storms])
    return msgspec.structs.replace(report, steps=[_with_causes(step) for step in report.steps], storm=storm)


def _with_causes(record: T) -> T:
    if len(record.causes) == len(record.signals):
        return record
    return msgspec.structs.replace(record, causes=[_cause(signal, record.verdict) for signal in record.signals])


def _cause(signal: str, verdict: Verdict) -> Cause:
    """Derive the cause from a signal's name, as older reports require."""
    if signal.startswith(("generator", "offered")):
        return Cause.GENERATOR
    if signal.startswith("others"):
        return Cause.OTHERS
    return Cause.SERVER if verdict is Verdict.FAIL else Cause.MISSING
