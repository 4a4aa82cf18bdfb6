"""The cores that a number of processes needs, the machines that have them, and their price. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from capacity.formatting import count, money


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of a deployment.

    Attributes:
        each: cores that one process needs.
        total: cores that all processes need.
        machine: cores of one machine; None if it is not known, or has too few for one process.
        machines: number of such machines.
        per_machine: processes on one machine.
    """

    each: int
    total: int
    machine: int | None = None
    machines: int | None = None
    per_machine: int | None = None

    def cost(self, price_per_core: float) -> float:
        """Return the price of all cores."""
        return self.total * price_per_core

    def cost_text(self, price_per_core: float, *, at_most: bool) -> str:
        """Return the arithmetic of the price, such as '12 cores x 25 a month = 300 a month, in the currency of ...'."""
        most = "at most " if at_most else ""
        cores = f"{count(self.total)} core{'' if self.total == 1 else 's'}"
        cost = money(self.cost(price_per_core))
        arithmetic = f"{cores} x {money(price_per_core)} a month = {most}{cost} a month"
        return f"{arithmetic}, in the currency of --price-per-core"

    @property
    def words(self) -> str:
        """The cores and machines as the headline has them, such as 'on a core each, 6 machines of 2 cores'."""
        each = "on a core each" if self.each == 1 else f"on {self.each} cores each"
        if self.machines is None or self.machine is None:
            return each
        machines = f"{count(self.machines)} machine{'' if self.machines == 1 else 's'}"
        return f"{each}, {machines} of {self.machine} core{'' if self.machine == 1 else 's'}"

    @property
    def caveats(self) -> list[str]:
        """What the machines mean for a failure."""
        if not self.machines or self.machines == 1 or not self.per_machine or self.per_machine == 1:
            return []
        n = self.per_machine
        return [f"a machine that fails takes {n} processes with it, and only one process is spare"]


def cores_for(processes: int, each: int | None, machine_cores: int | None) -> Cores | None:
    """Return the cores of a deployment; None if those of one process are not known.

    Args:
        processes: number of processes.
        each: cores that one process needs, if they are known.
        machine_cores: cores of a machine, if they are known.
    """
    if each is None:
        return None
    per_machine = (machine_cores or 0) // each
    if not per_machine:
        return Cores(each, processes * each)
    return Cores(each, processes * each, machine_cores, math.ceil(processes / per_machine), per_machine)
