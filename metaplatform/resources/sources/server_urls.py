"""URLs of database servers: taken apart, and kept out of every message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from metaplatform.errors import DataError
from metaplatform.resources.process.secrets import secret
from metaplatform.specs.entities.databases import ServerSource

_HIDDEN = "***"
_SECRET_OPTION = re.compile(r"(?i)pass|secret|token|key")


@dataclass(frozen=True)
class Server:
    """Where a database is, and who asks: what stands in a URL. No field of it is shown."""

    host: str = field(repr=False)
    port: int | None = field(repr=False)
    user: str = field(repr=False)
    password: str = field(repr=False)
    database: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    hidden: tuple[str, ...] = field(repr=False)

    def without_secrets(self, text: str) -> str:
        """Return a message without the URL, the password, or any way to write either."""
        for each in self.hidden:
            text = text.replace(each, _HIDDEN)
        return text


def server_of(spec: ServerSource) -> Server:
    """Return the server that a source's URL names.

    Raises:
        DataError: if no URL is set, or it is not a URL of the source's kind; nothing of it is shown.
    """
    url = secret(spec.url_env, owner=spec.ref)
    found = _server(url, spec.schemes)
    if found is not None:
        return found
    raise DataError(
        owner=spec.ref,
        culprit=f"{spec.url_env} holds no URL of kind {spec.kind}",
        fix=f"write it as {spec.schemes[0]}://user:password@host:port/database, special characters percent-encoded",
    )


def scheme_of(variable: str, *, owner: str) -> str:
    """Return what the URL of a variable begins with, which tells the kind of its database.

    Raises:
        DataError: if none is set.
    """
    return secret(variable, owner=owner).strip().partition(":")[0].partition("+")[0].lower()


def _server(url: str, schemes: tuple[str, ...]) -> Server | None:
    try:
        parts = urlsplit(url.strip())
        # Of 'postgresql+psycopg2' the latter is a driver of Python's, which is not used.
        known = parts.scheme.partition("+")[0] in schemes
        options = dict(parse_qsl(parts.query))
        database, port = unquote(parts.path[1:]), parts.port
    except ValueError:
        return None
    host = options.pop("host", "") or unquote(parts.hostname or "")
    # An '@' or a '#' that stands there belongs to a password that is not percent-encoded.
    if not known or not host or "@" in parts.path or parts.fragment or "@" in parts.query:
        return None
    written = parts.password or ""
    password = unquote(written) or options.pop("password", "")
    secrets = [password, *(value for name, value in options.items() if _SECRET_OPTION.search(name))]
    forms = {form for each in secrets if each for form in _forms(each)}
    hidden = sorted({url, url.strip(), written, *forms} - {""}, key=len, reverse=True)
    user = unquote(parts.username or "") or options.pop("user", "")
    return Server(host, port, user, password, database, options, tuple(hidden))


def _forms(text: str) -> tuple[str, ...]:
    """Return the ways in which a secret may stand in a message: as it is, in a URL, in SQL, in a connection string."""
    escaped = text.replace("\\", "\\\\")
    return (
        text,
        quote(text, safe=""),
        text.replace("'", "''"),
        escaped.replace("'", "\\'"),
        escaped.replace("'", "\\''"),
    )
