"""Moments as people read them: the one place that renders them."""

from datetime import datetime
from zoneinfo import ZoneInfo


def shown(moment: datetime, zone: str = "UTC", *, seconds: bool = True) -> str:
    """Return a moment (timezone-aware) by the clock of ``zone``, and its name: ``2024-03-05 14:05:07 CET``.

    Whole microseconds are shown where there are some, so that two moments never look like one.
    """
    local = moment.astimezone(ZoneInfo(zone))
    form = "%Y-%m-%d %H:%M" + (":%S" if seconds else "") + (".%f" if seconds and local.microsecond else "")
    return f"{local:{form}} {local.tzname()}"
