"""The types of specs, walked: what stands at a key, the kinds of a union, and which texts are SQL."""

import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from metaplatform.specs.fields.base import SqlText

_UNIONS = frozenset({Union, types.UnionType})


@lru_cache
def hints_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """Return the types of a spec's fields by key, as they are written."""
    hints = get_type_hints(model, include_extras=True)
    return {key: hints[key] for key in model.model_fields}


def bare(spec: Any) -> Any:
    """Return the type without annotation and without None."""
    while get_origin(spec) is Annotated:
        spec = get_args(spec)[0]
    if get_origin(spec) in _UNIONS:
        members = [member for member in get_args(spec) if member is not type(None)]
        if len(members) == 1:
            return bare(members[0])
    return spec


def variants(spec: Any) -> dict[Any, type[BaseModel]]:
    """Return the models of a union by the ``kind`` of each; of one model without kinds, by an empty text."""
    return {kind: model for model in models_of(spec) for kind in kinds_of(model) or ("",)}


def models_of(spec: Any) -> tuple[type[BaseModel], ...]:
    """Return the models of a union, or the one that ``spec`` is, or none."""
    spec = bare(spec)
    members = get_args(spec) if get_origin(spec) in _UNIONS else (spec,)
    return tuple(member for member in members if isinstance(member, type) and issubclass(member, BaseModel))


def kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the values of a model's ``kind``, or none if it has no such key."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def inside(spec: Any, part: str | int) -> Any:
    """Return the type of what ``spec`` holds at ``part``, or None where that cannot be told.

    Of a union, the first model that knows the key answers.
    """
    for model in models_of(spec):
        if part in model.model_fields:
            return hints_of(model)[str(part)]
    plain = bare(spec)
    if get_origin(plain) is dict:
        return get_args(plain)[1]
    return get_args(plain)[0] if get_origin(plain) is tuple else None


def is_sql(spec: Any) -> bool:
    """Tell whether a value of this type is SQL."""
    if get_origin(spec) is Annotated:
        return any(isinstance(mark, SqlText) for mark in spec.__metadata__) or is_sql(get_args(spec)[0])
    return get_origin(spec) in _UNIONS and any(is_sql(member) for member in get_args(spec))
