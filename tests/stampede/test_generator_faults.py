"""Faults of the generator's own machine: recognised, counted in bounded memory, reported once."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from stampede.generator_faults import Fault, FaultKind, Faults, kind_of, merge_faults
from stampede.measure.report import Totals, WorkerReport
from stampede.verdict.summary import INVALID, RunResult, summary
from stampede.websocket.errors import UnreachableError
from tests.stampede.measure.reports import report


def error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EADDRNOTAVAIL, FaultKind.PORTS),
        (errno.EADDRINUSE, FaultKind.PORTS),
        (errno.EMFILE, FaultKind.FILES),
        (errno.ENFILE, FaultKind.FILES),
        (errno.ENOMEM, FaultKind.MEMORY),
        (errno.ENOBUFS, FaultKind.MEMORY),
        (errno.ENOSPC, FaultKind.MEMORY),
        (errno.EPERM, FaultKind.FIREWALL),
        (errno.EACCES, FaultKind.FIREWALL),
        (errno.ENETDOWN, FaultKind.NETWORK),
        (errno.ECONNREFUSED, None),
        (errno.ECONNRESET, None),
        (errno.ETIMEDOUT, None),
        (errno.EHOSTUNREACH, None),
        (errno.ENETUNREACH, None),
    ],
)
def test_a_connect_error_is_a_fault_of_this_machine_or_of_the_server(code: int, kind: FaultKind | None) -> None:
    assert kind_of(error(code)) is kind
    failure = UnreachableError.from_os(error(code))
    assert failure.fault is kind
    assert str(failure) == os.strerror(code).lower()
    assert failure.label == (os.strerror(code).lower() if kind is None else f"load generator: {kind}")


def test_failed_name_resolution_and_untrusted_certificates_are_faults_of_the_generator() -> None:
    assert kind_of(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) is FaultKind.NAMES
    assert kind_of(ssl.SSLCertVerificationError(1, "self-signed")) is FaultKind.CERTIFICATE
    assert kind_of(ssl.SSLError(1, "handshake failure")) is None


def test_each_kind_and_detail_is_counted_and_only_the_first_is_new() -> None:
    faults = Faults()
    assert [faults.add(FaultKind.PORTS, "60") for _ in range(3)] == [True, False, False]
    assert faults.add(FaultKind.FILES)
    assert list(faults) == [Fault(FaultKind.PORTS, "60", 3), Fault(FaultKind.FILES, "", 1)]


def test_different_errors_take_bounded_memory_and_are_all_counted() -> None:
    faults = Faults()
    news = sum(faults.add(FaultKind.INTERNAL, f"KeyError: {number}") for number in range(1000))
    kept = list(faults)
    assert news == len(kept) <= 9
    assert sum(fault.count for fault in kept) == 1000


def test_every_kind_has_a_text() -> None:
    for kind in FaultKind:
        for detail in ("", "some {detail}"):
            text = Fault(kind, detail, 7).text
            assert text.startswith(f"{kind}: ")
            assert ("some {detail}" in text) == bool(detail)


def test_a_fault_of_several_processes_appears_once_with_its_sum() -> None:
    one, other, third = report(0), report(1), report(2)
    one.faults = [Fault(FaultKind.PORTS, "60", 3)]
    other.faults = [Fault(FaultKind.PORTS, "60", 4), Fault(FaultKind.INTERNAL, "KeyError: 1", 2)]
    third.faults = [Fault(FaultKind.INTERNAL, "KeyError: 1", 1)]
    sent = [WorkerReport.from_message(one.to_message()), other]
    result = RunResult(Totals(sent, dead=[third]))
    text = "\n".join(summary(result))
    assert result.exit_code == INVALID
    assert text.count("local ports") == text.count("INVALID     local ports: no local port was left for 7") == 1
    assert text.count("INVALID     internal error: internal error of the load generator, 3 times (KeyError: 1)") == 1
    assert text.count("Widen net.ipv4.ip_local_port_range") == 1


def test_a_cause_of_several_processes_appears_once() -> None:
    busy = [report(index, problems=["send lag: p99 300 ms over the whole run"]) for index in (0, 1)]
    for one in busy:
        one.causes = ["No CPU is left on this machine."]
    text = "\n".join(summary(RunResult(Totals(busy))))
    assert text.count("No CPU is left on this machine.") == 1
    assert "--processes" not in text


@pytest.mark.parametrize(("held", "reported"), [(9, True), (8, False)])
def test_a_server_that_does_not_read_is_reported_with_a_lagging_generator(held: int, reported: bool) -> None:
    lagging = report(0, problems=["send lag: p99 300 ms over the whole run"])
    lagging.causes = ["Something."]
    lagging.figures.sends.intended, lagging.figures.sends.held = 80, held
    text = "\n".join(summary(RunResult(Totals([lagging]))))
    reason = f"The server did not read fast enough: {held} of 80 messages had to wait."
    assert (reason in text) == reported


def test_merging_keeps_different_details_apart() -> None:
    assert merge_faults(
        [Fault(FaultKind.PORTS, "a", 1), Fault(FaultKind.PORTS, "b", 1), Fault(FaultKind.PORTS, "a", 2)]
    ) == [
        Fault(FaultKind.PORTS, "a", 3),
        Fault(FaultKind.PORTS, "b", 1),
    ]
