"""The reference of the book, from the specs themselves.

The prose and examples of a page are written by hand; what stands between ``<!-- fields: models -->`` and
``<!-- end -->`` is made here, from the docstrings and fields of the specs.
"""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.fields import base
from metaplatform.specs.fields.parameters import ParameterSpec
from metaplatform.specs.fields.spec_types import bare, hints_of, models_of
from metaplatform.specs.language.versions import PARAMETERS_KEY
from metaplatform.specs.structure import CHAPTER_TYPES

_SECTION = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ALIASES: tuple[tuple[Any, str], ...] = (
    (base.Name, "name"),
    (base.ColumnName, "column"),
    (base.Owner, "owner"),
    (base.EnvironmentVariable, "environment variable"),
    (base.Ref, "reference"),
    (base.Expression, "SQL expression"),
    (base.Query, "SQL query"),
    (base.Interval, "duration"),
    (str, "text"),
    (bool, "true or false"),
    (int, "whole number"),
    (float, "number"),
)
_UNIONS = {Union, UnionType}
_BASES = (Entity, base.Spec, BaseModel, object)
_SHARED_BY_ALL = frozenset(Entity.model_fields)


def render_page(page: str) -> str:
    """Return ``page`` with every section of fields made again.

    Raises:
        KeyError: if a section names no chapter.
    """
    return _SECTION.sub(lambda found: f"{found[1]}\n{_section(found[2])}\n{found[3]}", page)


def _section(chapter: str) -> str:
    if chapter == "entity":
        return "\n".join(_table(Entity, _SHARED_BY_ALL - {"name"}))
    if chapter == PARAMETERS_KEY:
        return "\n".join(_describe(ParameterSpec, path="", hidden=frozenset({"name"}), seen=set()))
    return "\n".join(_describe(CHAPTER_TYPES[chapter], path="", hidden=_SHARED_BY_ALL, seen=set()))


def _describe(spec: Any, *, path: str, hidden: frozenset[str], seen: set[type[BaseModel]]) -> Iterator[str]:
    """Yield the text and table of a spec, or of each of its kinds, then of the specs within it."""
    variants = models_of(spec)
    several = len(variants) > 1
    hidden |= {"kind"} if several else frozenset()
    shared = _shared_fields(variants) - hidden if several else frozenset()
    bases = [each for each in inspect.getmro(variants[0])[1:] if all(issubclass(one, each) for one in variants)]
    if several:
        yield from (*_prose(bases), *_table(variants[0], shared))
    for model in variants:
        if several:
            kinds = (f"`kind: {kind}`" for kind in get_args(model.model_fields["kind"].annotation))
            yield from (f"**{' or '.join(kinds)}**", "")
        own = [each for each in inspect.getmro(model) if not several or each not in bases]
        yield from (*_prose(own), *_table(model, frozenset(model.model_fields) - hidden - shared))
    for model in variants:
        for key, hint in hints_of(model).items():
            for inner in _inner_specs(hint) if key not in hidden else ():
                if not seen.issuperset(models_of(inner)):
                    seen.update(models_of(inner))
                    below = f"{path}.{key}" if path else key
                    yield from (f"## `{below}`", "")
                    yield from _describe(inner, path=below, hidden=frozenset(), seen=seen)


def _table(model: type[BaseModel], keys: frozenset[str]) -> Iterator[str]:
    """Yield the table of a spec's ``keys`` in their order, or nothing if there are none."""
    hints = hints_of(model)
    yield from ("| key | value | default |", "|---|---|---|") if keys else ()
    for key, field in model.model_fields.items():
        if key in keys:
            words = ", ".join((_words(hints[key]), *_limits(field, hints[key])))
            yield f"| `{key}` | {words} | {_default(field)} |"
    yield from [""] if keys else ()


def _shared_fields(variants: Sequence[type[BaseModel]]) -> frozenset[str]:
    first, *others = variants
    return frozenset(
        key
        for key, field in first.model_fields.items()
        if all(key in other.model_fields and repr(other.model_fields[key]) == repr(field) for other in others)
    )


def _prose(models: Sequence[type]) -> Iterator[str]:
    """Yield the docstrings of ``models`` as Markdown paragraphs."""
    for each in models:
        if each not in _BASES:
            yield from ((inspect.getdoc(each) or "").replace("``", "`"), "")


def _words(hint: Any) -> str:
    """Return a type in plain words."""
    if known := [words for alias, words in _ALIASES if hint is alias]:
        return known[0]
    inner = get_args(hint)
    match get_origin(hint):
        case origin if origin is Annotated:
            words = _words(inner[0])
        case origin if origin in _UNIONS and len(models_of(hint)) > 1:
            words = "mapping with a `kind`, see below"
        case origin if origin in _UNIONS:
            words = " or ".join(_words(each) for each in inner if each is not NoneType)
        case origin if origin is Literal:
            words = " or ".join(", ".join(f"`{value}`" for value in inner).rsplit(", ", 1))
        case origin if origin is tuple:
            words = f"list of: {_words(inner[0])}"
        case origin if origin is dict:
            words = f"mapping of {_words(inner[0])} to {_words(inner[1])}"
        case _:
            words = "mapping, see below"
    return words


def _limits(field: FieldInfo, hint: Any) -> Iterator[str]:
    """Yield what bounds a value beyond its type."""
    many = get_origin(bare(hint)) in {tuple, dict}
    for limit in field.metadata:
        match limit:
            case Ge(ge=bound):
                yield f"{bound:,} or more"
            case Gt(gt=bound):
                yield f"over {bound}"
            case Le(le=bound):
                yield f"{bound:,} or less"
            case Lt(lt=bound):
                yield f"under {bound}"
            case MinLen(min_length=1) if many:
                yield "one at least"
            case MaxLen(max_length=1):
                yield "one character"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    match value:
        case None:
            return "none"
        case BaseModel():
            return "its defaults"
        case bool() | tuple():
            return f"`{json.dumps(value)}`"
    return f"`{value}`" if str(value) else "empty"


def _inner_specs(hint: Any) -> Iterator[Any]:
    """Yield the specs, or unions of specs, that a field's value holds."""
    plain = bare(hint)
    if models_of(plain):
        yield plain
    elif get_origin(plain) in {tuple, dict}:
        for part in get_args(plain):
            yield from _inner_specs(part)
