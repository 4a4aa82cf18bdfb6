"""Lets a shape of `stampede.workload.shapes` steer Locust: the number of users, second by second, and its storms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import LoadTestShape

from stampede.locust.options import OptionError
from stampede.workload.shapes import Shape, ShapePlan

if TYPE_CHECKING:
    from locust.env import Environment

    from stampede.locust.master import MasterAgent

_RATE = 100.0


class StampedeShape(LoadTestShape):
    """One shape, sized by Locust's own options."""

    use_common_options = True

    def __init__(self, environment: Environment, master: MasterAgent, shape: Shape) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Locust annotates none of these
        self.runner = environment.runner
        self._environment = environment
        self._master = master
        self._shape = shape
        self._plan: ShapePlan | None = None
        self._struck = 0

    def reset_time(self) -> None:
        """Begin; called by Locust.

        Raises:
            OptionError: the test has no length; both the command line and the start form refuse that before.
        """
        super().reset_time()  # type: ignore[no-untyped-call]
        options = self._environment.parsed_options
        users, rate, seconds = (getattr(options, name, None) for name in ("num_users", "spawn_rate", "run_time"))
        if not seconds:
            raise OptionError(f"--shape {self._shape.value} needs -t")
        self._plan = ShapePlan(self._shape, users or 1, float(seconds), rate or _RATE)
        self._struck = 0

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there should be now, and how fast to get there; None at the end."""
        if self._plan is None:
            self.reset_time()
        plan = self._plan
        assert plan is not None  # noqa: S101 # `reset_time` has made it
        at = float(self.get_run_time())  # type: ignore[no-untyped-call]
        users = plan.users(at)
        settings = self._master.settings
        if users is not None and settings is not None and self._struck < sum(moment <= at for moment in plan.storms):
            self._struck += 1
            self._master.storm(settings.storm_share, settings.storm_manner)
        return None if users is None else (users, plan.rate)


def load_shape(environment: Environment, master: MasterAgent, name: str) -> LoadTestShape | None:
    """Return what lets the shape of a name steer Locust; None for no shape."""
    known = {shape.value: shape for shape in Shape}
    return StampedeShape(environment, master, known[name]) if name in known else None
