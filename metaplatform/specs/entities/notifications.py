"""The kinds of notifications: how people are told."""

from typing import Literal

from metaplatform.specs.fields.base import EnvironmentVariable, Spec


class Notification(Spec):
    """A way to reach people."""

    kind: str


class FileNotification(Notification):
    """A line of JSON below the storage root: ``notifications/<reaction>.jsonl``; for alerts, ``platform.jsonl``."""

    kind: Literal["file"]


class AppriseNotification(Notification):
    """A message through Apprise (mail, chat, webhook); its URL is read from the environment variable ``url_env``."""

    kind: Literal["apprise"]
    url_env: EnvironmentVariable
