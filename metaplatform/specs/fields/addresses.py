"""Paths of sources as texts: which are addresses, and what of them may be shown."""

import re

_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):/{1,2}(?=\S)")
_USER_AND_PASSWORD = re.compile(r"[^/\s:@]+:[^/\s@]*@")
_SECRET = re.compile(r"(?i)(secret|token|signature|sig|password|pwd|access_?key|key_?id|credential)[^=&/]*=")


def is_url(path: str) -> bool:
    """Tell whether a source's path is an address of a server, such as ``s3://`` or ``https://``, not of a file."""
    return _ADDRESS.match(path) is not None


def holds_credentials(path: str) -> bool:
    """Tell whether a path looks like one with a password or a key in it."""
    return any(pattern.search(path) for pattern in (_USER_AND_PASSWORD, _SECRET))


def shown_path(path: str) -> str:
    """Return a path as messages may show it: of an address, and of what looks like a secret, hardly anything."""
    address = _ADDRESS.match(path)
    if address:
        return f"{address[1].lower()}://…"
    return "…" if holds_credentials(path) else path[:80]
