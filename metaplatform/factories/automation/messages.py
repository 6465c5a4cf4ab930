"""The sensor that sends what is in the outbox."""

import dagster as dg

from metaplatform.errors import StorageError
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.resources.sinks.outbox import Waiting
from metaplatform.text.moments import shown


def messages_sensor(timezone: str, interval_seconds: int, mount: Mount = STANDALONE) -> dg.SensorDefinition:
    """Return the sensor ``messages``; moments are shown in ``timezone``."""

    @dg.sensor(
        name=mount.named("messages"),
        description="Send the messages that wait in the outbox; one that is not taken is tried again, later and later.",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=mount.all_named("notifier", "clock"),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        notifier, clock = mount.resource(context, "notifier"), mount.resource(context, "clock")
        late = notifier.deliver(clock.now())
        # A replay goes on: what is late waits for its next moment, and its end tells.
        if late and not clock.at:
            raise StorageError(
                owner="messages",
                culprit="; ".join(_told(waiting, timezone) for waiting in late),
                fix="correct the channel; the messages are kept and sent again",
            )
        return dg.SkipReason("nothing is left to send now")

    return evaluate


def _told(waiting: Waiting, timezone: str) -> str:
    message = waiting.message
    return (
        f"'{message.title}' ({message.message_id}) could not be sent: {waiting.reason} "
        f"Tried {waiting.attempts} times, next at {shown(waiting.next_at, timezone)}"
    )
