"""URLs of databases: the driver chosen, and nothing secret shown of them."""

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from metaplatform.errors import MetaplatformError

POSTGRESQL = "postgresql+psycopg2"
"""The driver that the extra ``postgres`` installs; SQLAlchemy 2.1 would choose psycopg 3."""


def database_url(text: str, *, owner: str, fix: str) -> sa.URL:
    """Return the database URL, with the driver that the project installs.

    Raises:
        MetaplatformError: if ``text`` is not a URL; it is not repeated, because it may hold a password.
    """
    try:
        url = sa.make_url(text.strip())
    except (ArgumentError, ValueError):
        raise MetaplatformError(owner=owner, culprit="this is not a database URL", fix=fix) from None
    if url.password is not None and "@" in f"{url.host}{url.database}":
        # What stands behind the first one would be told as the host, and be a part of the password.
        raise MetaplatformError(
            owner=owner,
            culprit="there are several '@' in the database URL",
            fix="write %40 for those in the user's name or password",
        )
    return url.set(drivername=POSTGRESQL) if url.drivername in {"postgresql", "postgres"} else url


def shown_url(url: sa.URL) -> str:
    """Return the URL for people: without password, and without options, which may hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def said_without_password(url: sa.URL, error: Exception) -> str:
    """Return the first line of what a database or its driver said, without the password of ``url``."""
    text = str(getattr(error, "orig", None) or error).strip().splitlines()
    message = text[0] if text else type(error).__name__
    return message.replace(str(url.password), "***") if url.password else message
