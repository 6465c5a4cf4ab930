"""The clock: the one place that asks what time it is."""

from datetime import UTC, datetime

import dagster as dg

from metaplatform.errors import StorageError


class Clock(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The current moment; or ``at`` (ISO 8601, UTC unless it says otherwise), for replays of history."""

    at: str = ""

    def now(self) -> datetime:
        """Return the moment, in UTC.

        Raises:
            StorageError: if ``at`` is not a moment.
        """
        if not self.at:
            return datetime.now(UTC)
        try:
            moment = datetime.fromisoformat(self.at)
        except ValueError as error:
            raise StorageError(
                owner="clock", culprit=f"at '{self.at}'", fix="write it as in 2013-07-01T00:00:00Z"
            ) from error
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
