"""The settings of a run as its report shows them: without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.redaction import redact

if TYPE_CHECKING:
    from capacity.config.settings import Settings


def settings_table(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """Return the settings as the report shows them."""
    return {
        "host": redact(settings.host) if settings.host else None,
        "steps": ",".join(map(str, settings.given)) or None,
        "bounded": settings.bounded,
        "users_min": settings.users_min,
        "users_max": settings.users_max,
        "max_duration": settings.max_duration,
        "settle": settings.settle,
        "window": settings.window,
        "processes": settings.processes,
        "mix": ",".join(f"{name}={weight}" for name, weight in settings.mix.items()),
        "work_per_message": settings.work_per_message,
        "workers": settings.workers,
        "storm": settings.storm,
        "target_users": settings.target_users,
        "headroom": settings.headroom if settings.target_users else None,
        "prometheus": redact(settings.prometheus) if settings.prometheus else None,
        "thorough": settings.thorough,
        "interval_width": None if settings.given else settings.interval_width,
        "confirmations": None if settings.given else settings.confirmations,
        "load": " ".join(settings.load_arguments()),
        "headers": ", ".join(name for name, _ in settings.headers) or None,
    }
