"""Lets Locust follow one of the load shapes: the number of users over time, and storms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import LoadTestShape

from stampede.locust.settings import OptionError
from stampede.workload.shapes import Shape, ShapePlan

if TYPE_CHECKING:
    from locust.env import Environment

    from stampede.locust.agents.master import MasterAgent

_DEFAULT_SPAWN_RATE = 100.0


class _StampedeShape(LoadTestShape):
    """A load shape that is sized by Locust's own options `-u`, `-r` and `-t`."""

    use_common_options = True

    def __init__(self, environment: Environment, master: MasterAgent, shape: Shape) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Locust annotates none of these
        self.runner = environment.runner
        self._environment = environment
        self._master = master
        self._shape = shape
        self._plan: ShapePlan | None = None
        self._storms = 0

    def reset_time(self) -> None:
        """Start the shape; called by Locust.

        Raises:
            OptionError: the test has no length. The command line and the start form refuse that earlier.
        """
        super().reset_time()  # type: ignore[no-untyped-call]
        options = self._environment.parsed_options
        users, rate, seconds = (getattr(options, name, None) for name in ("num_users", "spawn_rate", "run_time"))
        if not seconds:
            raise OptionError(f"--shape {self._shape.value} needs -t")
        self._plan = ShapePlan(self._shape, users or 1, float(seconds), rate or _DEFAULT_SPAWN_RATE)
        self._storms = 0

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users and the spawn rate of this moment; None at the end. Starts the storms."""
        if self._plan is None:
            self.reset_time()
        plan = self._plan
        assert plan is not None  # noqa: S101 # set by `reset_time`
        at = float(self.get_run_time())  # type: ignore[no-untyped-call]
        users = plan.users(at)
        settings = self._master.settings
        if users is not None and settings is not None and self._storms < sum(time <= at for time in plan.storms):
            self._storms += 1
            self._master.commands.storm(settings.storm_share, settings.storm_manner)
        return None if users is None else (users, plan.rate)


def load_shape(environment: Environment, master: MasterAgent, name: str) -> LoadTestShape | None:
    """Return the load shape of this name for Locust; None for `none`."""
    known = {shape.value: shape for shape in Shape}
    return _StampedeShape(environment, master, known[name]) if name in known else None
