"""Signatures of the functions that factories make: found once, not once an asset."""

import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

Body = TypeVar("Body", bound=Callable[..., Any])

_known: dict[CodeType, inspect.Signature] = {}


def with_signature(body: Body) -> Body:
    """Return ``body`` carrying its signature, which functions made by the same ``def`` share.

    Dagster asks for the signature of an op's function sixteen times, each time from scratch: a fifth of the time
    that loading many definitions takes. ``inspect.signature`` takes what a function carries.
    """
    signature = _known.get(body.__code__)
    if signature is None:
        signature = _known[body.__code__] = inspect.signature(body)
    body.__signature__ = signature  # type: ignore[attr-defined]
    return body
