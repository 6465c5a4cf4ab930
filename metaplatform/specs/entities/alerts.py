"""Chapter ``alerts``: who is told when the platform itself is in trouble."""

from pydantic import Field

from metaplatform.chapters import ALERTS
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.specs.fields.base import Many


class AlertSpec(Entity):
    """People to ``notify`` of the platform's own troubles: failed runs, failing sensors, what is held up or refused.

    One message for each cause, and one when it is over. ``notifications/platform.jsonl`` below the storage root has
    them in any case. Where the deployment names a channel itself (``METAPLATFORM_NOTIFY_URL_ENV``), that one counts.
    """

    chapter = ALERTS
    notify: Many[NotificationSpec] = Field(min_length=1)

    @property
    def told(self) -> str:
        """Return what people are told of."""
        return "Tells people of the platform's own troubles."
