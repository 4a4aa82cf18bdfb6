"""Student's t distribution, for confidence intervals of 95 %."""

from __future__ import annotations


def t_quantile(freedom: int) -> float:
    """Return the factor of the standard error in a two-sided 95 % interval, for so many degrees of freedom."""
    # SciPy takes half a second of CPU to load: only processes that compute an interval load it.
    from scipy.special import stdtrit  # noqa: PLC0415 - see above

    return float(stdtrit(freedom, 0.975))
