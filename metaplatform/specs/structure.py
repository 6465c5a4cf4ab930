"""One entity of the book: its YAML mapping against its spec, each fault at its own key."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from metaplatform.specs.entities.alerts import AlertSpec
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.families import FAULTS, ModelKind, MonitorSpec, OutputSpec, SourceSpec
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.entities.ingestion import TableSpec
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.references import Path
from metaplatform.specs.fields.spec_types import bare, inside, variants
from metaplatform.specs.partial import Partial, adapter, variant_of, with_kinds, without_value
from metaplatform.text.nearest import nearest_name

_LONGEST_CULPRIT = 80
_MOST_FAULTS = 100
"""Report at most this many faults of one entity."""
_FORMS = {
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "tuple_type": "write a list: [a, b]",
    "list_type": "write a list: [a, b]",
    "dict_type": "write keys with values below it",
    "model_type": "write keys with values below it",
    "string_type": "write text",
}
"""Pydantic's name of a wrong type → what to write."""
_LIMITS = {
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give {ge} or more",
    "less_than": "give less than {lt}",
    "less_than_equal": "give {le} or less",
    "too_short": "give at least {min_length}",
    "string_too_short": "give at least {min_length} characters",
    "too_long": "give at most {max_length}",
    "string_too_long": "give at most {max_length} characters",
    "string_pattern_mismatch": "write it as in raw.flights",
    "finite_number": "give a finite number",
    "too_early": "start in {first} or later: rows before that go to quarantine",
}
"""Pydantic's name of a broken limit → what is allowed."""
_ABSENT = object()
_TAG_AND_KEY = 2
CHAPTER_TYPES: Mapping[str, Any] = {
    "sources": SourceSpec,
    "tables": TableSpec,
    "feature_sets": FeatureSetSpec,
    "models": ModelKind,
    "predictions": PredictionSpec,
    "outputs": OutputSpec,
    "monitors": MonitorSpec,
    "reactions": ReactionSpec,
    "alerts": AlertSpec,
}
"""Chapter of the book → the type of its entities."""


@dataclass(frozen=True)
class Part:
    """What can be read of an entity that has faults, unknown values in it for the others.

    ``unknown`` are the keys that hold such. ``order`` has, by the path of a list, the places that its items have in
    the book. ``guessed`` says that its kind is not clear, and matters.
    """

    entity: Entity
    unknown: frozenset[str] = frozenset()
    order: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)
    guessed: bool = False


@dataclass(frozen=True)
class ReadEntity:
    """An entity, or None and all its faults, with the part of it that can be read nevertheless."""

    entity: Entity | None
    faults: tuple[Fault, ...] = ()
    part: Part | None = None


def build_entity(chapter: str, name: str, body: dict[str, Any]) -> tuple[Entity | None, tuple[Fault, ...]]:
    """Return the entity of a chapter, or None and all its faults."""
    read = read_entity(chapter, name, body)
    return read.entity, read.faults


def read_entity(chapter: str, name: str, body: dict[str, Any]) -> ReadEntity:
    """Return the entity of a chapter, or what is wrong with it and what is not."""
    spec, named = CHAPTER_TYPES[chapter], {**body, "name": name}
    faults: list[Fault] = []
    if "name" in body:
        fix = "remove it: an entity's key is its name"
        faults.append(Fault("unknown-key", ("name",), "name", "unknown key 'name'", fix, at_key=True))
    try:
        entity = adapter(spec).validate_python(named)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return ReadEntity(None, tuple(faults), Part(entity)) if faults else ReadEntity(entity)
    partial = Partial()
    found = partial.read(spec, named)
    unknown = frozenset(str(path[0]) for path in partial.unknown)
    part = Part(found, unknown, partial.order, partial.guessed)
    return ReadEntity(None, (*faults, *_faults(spec, named, details, partial.unseen)), part)


def build_spec(spec: Any, body: dict[str, Any]) -> tuple[Any, tuple[Fault, ...]]:
    """Return the spec of a mapping, its ``name`` in it, or None and all its faults."""
    try:
        return adapter(spec).validate_python(body), ()
    except ValidationError as error:
        partial = Partial()
        partial.read(spec, body)
        return None, _faults(spec, body, error.errors(include_url=False), partial.unseen)


def _faults(
    spec: Any, body: dict[str, Any], details: list[ErrorDetails], unseen: list[ErrorDetails]
) -> tuple[Fault, ...]:
    """Return all faults of a body: those told, and those that pydantic does not look for while it has others."""
    right = with_kinds(spec, body)
    told = [(body, detail) for detail in (*_whole(details), *unseen)]
    told.extend((right, detail) for detail in _whole(_details_of(spec, right)) if _in_any_kind(spec, body, detail))
    return _without_echoes(
        _fault(spec, whole, detail) for whole, detail in told[:_MOST_FAULTS] if not without_value(detail)
    )


def _details_of(spec: Any, body: dict[str, Any]) -> list[ErrorDetails]:
    try:
        adapter(spec).validate_python(body)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _in_any_kind(spec: Any, body: dict[str, Any], detail: ErrorDetails) -> bool:
    """Tell whether a key is one too many, or lacking, whatever the kind of its mapping, where that is a guess."""
    path, rest, union = _descend(spec, body, detail["loc"])
    value: Any = body
    for part in path:
        value = value[part]
    if len(rest) != _TAG_AND_KEY or not isinstance(value, dict) or variant_of(union, value)[1]:
        return True
    fields = [model.model_fields.get(str(rest[1])) for model in variants(union).values()]
    if detail["type"] == "extra_forbidden":
        return not any(fields)
    return detail["type"] != "missing" or all(field is not None and field.is_required() for field in fields)


def _whole(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Yield all but lists that are too short for no other reason than that their items are broken."""
    deeper = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    return (detail for detail in details if not (detail["type"] == "too_short" and detail["loc"] in deeper))


def _without_echoes(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Keep one fault a place, and what does not merely follow from another.

    A misspelt key makes its right name missing.
    """
    found: dict[tuple[Path, str], Fault] = {}
    for fault in faults:
        found.setdefault((fault.path, fault.culprit if fault.rule == "missing-key" else ""), fault)
    misspelt = {(*fault.path[:-1], fault.nearest) for fault in found.values() if fault.rule == "unknown-key"}
    return tuple(
        fault
        for fault in found.values()
        if not (fault.rule == "missing-key" and (*fault.path, fault.culprit) in misspelt)
    )


def _fault(spec: Any, body: dict[str, Any], detail: ErrorDetails) -> Fault:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(*_descend(spec, body, detail["loc"][:-1]), key=str(detail["loc"][-1]))
    whole = spec
    path, rest, spec = _descend(whole, body, detail["loc"])
    at_key = "[key]" in rest
    if at_key:
        spec = _descend(whole, body, detail["loc"][: -len(rest) - 1])[2]
    if path == ("name",):
        path = ()
    match detail["type"]:
        case "missing" | "union_tag_not_found":
            key = str(rest[0]) if rest else "kind"
            return Fault("missing-key", path, key, f"'{key}' is missing", f"add '{key}:'", at_key=True)
        case "union_tag_invalid":
            return _unknown_kind(path, detail)
        case "literal_error" if path:
            rule = "unknown-kind" if path[-1] == "kind" else "unknown-value"
            return _not_one_of(rule, path, path[-1] if at_key else detail["input"], _choices(spec, in_keys=at_key))
        case kind if kind.endswith(("_type", "_parsing")):
            rule, fix = "wrong-type", _type_fix(detail)
        case _:
            rule, fix = "invalid-value", _value_fix(detail)
    culprit = _shown(detail["input"]) if _is_scalar(detail["input"]) else str(path[-1] if path else body["name"])
    return Fault(rule, path, culprit, _sentence(path, detail), fix, at_key=at_key)


def _unknown_key(path: Path, rest: tuple[int | str, ...], spec: Any, *, key: str) -> Fault:
    models = list(variants(spec).values())
    fields = sorted({name for model in models for name in model.model_fields} - ({"name"} if not path else set()))
    near = nearest_name(key, fields)
    fix = f"rename it to '{near}'" if near else f"remove it, or use one of: {', '.join(fields)}"
    return Fault("unknown-key", (*path, *rest, key), key, f"unknown key '{key}'", fix, near, at_key=True)


def _unknown_kind(path: Path, detail: ErrorDetails) -> Fault:
    tag = detail["ctx"]["tag"]
    tags = [each.strip(" '") for each in str(detail["ctx"]["expected_tags"]).split(",")]
    fault = _not_one_of("unknown-kind", (*path, "kind"), tag, tags)
    # A kind that somebody has installed, and that cannot be used, is not one that was misspelt.
    why = [f"{error.owner}: {error.culprit}" for (_, kind), error in FAULTS.items() if kind == tag]
    return replace(fault, message=f"{fault.message}; {'; '.join(why)}", nearest=None) if why else fault


def _not_one_of(rule: str, path: Path, value: object, choices: list[str]) -> Fault:
    return Fault(
        rule,
        path,
        _shown(value),
        f"{_where(path)}: {_shown(value)!r} is not allowed here",
        f"use one of: {', '.join(choices)}",
        nearest_name(str(value), choices),
    )


def _choices(spec: Any, *, in_keys: bool) -> list[str]:
    plain = bare(spec)
    if in_keys:
        plain = get_args(plain)[0]
    members = (plain,) if get_origin(plain) is Literal else get_args(plain)
    words = [str(choice) for member in members if get_origin(member) is Literal for choice in get_args(member)]
    return [*words, *("a whole number" for member in members if member is int)]


def _sentence(path: Path, detail: ErrorDetails) -> str:
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch":
        text = "a reference is written as `raw.flights`: a prefix, a dot, a name"
    return f"{_where(path)}: {text[:1].lower()}{text[1:]}"


def _type_fix(detail: ErrorDetails) -> str:
    value = detail["input"]
    if detail["type"] == "string_type" and isinstance(value, bool | int | float):
        return "put quotes around it"
    return "give it a value" if value is None else _FORMS.get(detail["type"], "write it as the message says")


def _value_fix(detail: ErrorDetails) -> str:
    """Return which values are allowed; a validator of our own has said it in its message."""
    told = _LIMITS.get(detail["type"], "write it in that form")
    return told.format_map(detail.get("ctx", {}))


def _where(path: Path) -> str:
    return ".".join(str(part) for part in path) or "the entry"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _shown(value: object) -> str:
    return str(value)[:_LONGEST_CULPRIT]


def _descend(spec: Any, value: Any, loc: tuple[int | str, ...]) -> tuple[Path, tuple[int | str, ...], Any]:
    """Follow pydantic's location as far as the book goes, leaving out the tags of unions.

    Returns the path, what of the location is left, and the type at the path.
    """
    path: list[str | int] = []
    for index, part in enumerate(loc):
        kinds = variants(spec)
        if len(kinds) > 1 and isinstance(value, dict) and part == value.get("kind"):
            spec = kinds[part]
            continue
        child = _child(value, part)
        if child is _ABSENT:
            return tuple(path), loc[index:], spec
        value = child
        path.append(part)
        if loc[index + 1 :] == ("[key]",):
            # The key itself is at fault: what may stand there, its mapping says.
            return tuple(path), loc[index + 1 :], spec
        spec = inside(spec, part)
    return tuple(path), (), spec


def _child(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else _ABSENT
