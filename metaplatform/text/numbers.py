"""How people are shown metrics."""

_PLAIN_BELOW = 1e6


def metric_text(value: float, *, signed: bool = False) -> str:
    """Return a metric with four decimals; one that would be long, or is not finite, with four significant digits."""
    return f"{value:{'+' if signed else ''}.4{'f' if abs(value) < _PLAIN_BELOW else 'g'}}"
