"""What can be read of a mapping that its spec refuses: the values that are sound, and unknown ones for the rest."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from metaplatform.specs.fields.base import PRESENTATION
from metaplatform.specs.fields.references import Path
from metaplatform.specs.fields.spec_types import bare, hints_of, inside, is_sql, kinds_of, models_of, variants
from metaplatform.specs.unknown import NO_VALUE, UNKNOWN, until_unknown
from metaplatform.text.nearest import nearest_name


@dataclass
class Partial:
    """What was read of one mapping.

    ``unknown`` are the paths of its unknown values. ``order`` has, by the path of a list with unknown items, the
    places that its items had: the unknown come last. ``unseen`` are faults that the spec does not look for while
    it has others. ``guessed`` says that the kind of the whole is not clear, and matters.
    """

    unknown: list[Path] = field(default_factory=list)
    order: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    unseen: list[ErrorDetails] = field(default_factory=list)
    guessed: bool = False

    def read(self, spec: Any, value: Any, path: Path = ()) -> Any:
        """Return the value of type ``spec``, as far as it can be read."""
        try:
            return validated(spec, value)
        except ValidationError:
            return self._part(spec, value, path)

    def _part(self, spec: Any, value: Any, path: Path) -> Any:
        plain = bare(spec)
        if models_of(spec) and isinstance(value, dict):
            return self._model(spec, value, path)
        if get_origin(plain) is dict and isinstance(value, dict) and value:
            return self._mapping(plain, value, path)
        if get_origin(plain) is tuple and isinstance(value, list) and value:
            return self._list(inside(spec, 0), value, path)
        return self._unknown(path)

    def _unknown(self, path: Path) -> Any:
        self.unknown.append(path)
        return UNKNOWN

    def _mapping(self, plain: Any, value: dict[Any, Any], path: Path) -> dict[Any, Any]:
        keys, values = get_args(plain)
        found = {
            key: self.read(values, inner, (*path, key))
            for key, inner in value.items()
            # A wrong name is a name; what is not an allowed word is nothing.
            if isinstance(key, str) and (bare(keys) is str or _is_valid(keys, key))
        }
        if is_sql(values):
            # Expressions build on those before them.
            return found
        # What is known is looked at first.
        return dict(sorted(found.items(), key=lambda pair: pair[1] is UNKNOWN))

    def _list(self, item: Any, value: list[Any], path: Path) -> tuple[Any, ...]:
        found = [self.read(item, inner, (*path, index)) for index, inner in enumerate(value)]
        if models_of(item):
            # Blocks build on those before them.
            return tuple(found)
        order = sorted(range(len(found)), key=lambda index: found[index] is UNKNOWN)
        self.order[path] = tuple(order)
        return tuple(found[index] for index in order)

    def _model(self, spec: Any, value: dict[str, Any], path: Path) -> BaseModel:
        model, certain = variant_of(spec, value)
        self.guessed |= not path and not certain and not _are_alike(models_of(spec))
        body = with_kind(model, value)
        wrong, whole = _faulty_keys(model, body)
        misspelt = {nearest_name(key, model.model_fields) for key in body if key not in model.model_fields}
        values: dict[str, Any] = {}
        for key, info in model.model_fields.items():
            place = (*path, key)
            if key == "kind" and not certain:
                values[key] = self._unknown(place)
            elif key not in body:
                lacking = info.is_required() or key in misspelt
                values[key] = self._unknown(place) if lacking else info.get_default(call_default_factory=True)
            elif key in wrong:
                values[key] = self._part(hints_of(model)[key], body[key], place)
            else:
                values[key] = validated(hints_of(model)[key], body[key])
        made = model.model_construct(**values)
        for fault in [] if whole else own_faults(model, made, path, value):
            whole = True
            self.unseen.append(fault)
        return self._doubted(made, body, path) if whole else made

    def _doubted(self, made: BaseModel, body: Mapping[str, Any], path: Path) -> BaseModel:
        """Return a model that its own check refuses: which of its values is wrong, nobody knows.

        Of an entity it may be what is not given, of a part of one any plain value.
        """
        for key, value in dict(made).items():
            given = key in body
            doubtful = not isinstance(value, dict | tuple) if path else not given and key not in PRESENTATION
            if doubtful and key != "kind" and value is not UNKNOWN:
                made.__dict__[key] = self._unknown((*path, key))
        return made


def variant_of(spec: Any, value: Mapping[str, Any]) -> tuple[type[BaseModel], bool]:
    """Return the model that a mapping is meant to be, and whether that is clear from its ``kind``."""
    models = variants(spec)
    if len(models_of(spec)) == 1:
        only = models_of(spec)[0]
        return only, not kinds_of(only) or _kind_near(value, kinds_of(only)) is not None
    near = _kind_near(value, models)
    if near is not None:
        return models[near], True
    return max(models.values(), key=lambda model: _likeness(model, value)), False


def with_kind(model: type[BaseModel], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with a kind that the model has."""
    kinds = kinds_of(model)
    return {**value, "kind": _kind_near(value, kinds) or kinds[0]} if kinds else dict(value)


def with_kinds(spec: Any, value: Any) -> Any:
    """Return a value with the kinds in it put right, wherever they are wrong or lacking and can be guessed."""
    if isinstance(value, dict):
        if not models_of(spec):
            return {key: with_kinds(inside(spec, key), inner) for key, inner in value.items()}
        model, certain = variant_of(spec, value)
        if not certain and not set(value) & (set(model.model_fields) - {"kind", "name"}):
            return value
        return {key: with_kinds(inside(model, key), inner) for key, inner in with_kind(model, value).items()}
    return [with_kinds(inside(spec, 0), item) for item in value] if isinstance(value, list) else value


@lru_cache
def adapter(spec: Any) -> TypeAdapter[Any]:
    """Return what validates values of a type."""
    return TypeAdapter(spec)


def validated(spec: Any, value: Any) -> Any:
    """Return a value of type ``spec``.

    Raises:
        ValidationError: if it is not one.
    """
    return adapter(spec).validate_python(value, strict=True)


def own_faults(model: type[BaseModel], made: BaseModel, path: Path, body: Mapping[str, Any]) -> Iterator[ErrorDetails]:
    """Yield what a model's own check finds: pydantic asks it only where each value is sound by itself."""
    for check in model.__pydantic_decorators__.model_validators.values():
        try:
            with until_unknown():
                cast("Any", check.func)(made)
        except PydanticCustomError as error:
            yield ErrorDetails(type=error.type, loc=path, msg=error.message(), input=body, ctx=error.context or {})
        except ValueError as error:
            yield ErrorDetails(type="value_error", loc=path, msg=f"Value error, {error}", input=body)


def _kind_near(value: Mapping[str, Any], kinds: Iterable[str]) -> str | None:
    written = value.get("kind")
    return (written if written in kinds else nearest_name(written, kinds)) if isinstance(written, str) else None


def _likeness(model: type[BaseModel], value: Mapping[str, Any]) -> int:
    """Return how many keys a mapping shares with a model, less those that it lacks."""
    lacking = sum(info.is_required() and key not in value for key, info in model.model_fields.items())
    return sum(key in model.model_fields for key in value) - lacking


def _are_alike(models: Iterable[type[BaseModel]]) -> bool:
    """Tell whether models need the same: which of them is meant, makes no difference to others."""
    needed = {frozenset(key for key, info in model.model_fields.items() if info.is_required()) for model in models}
    return len(needed) == 1


def _faulty_keys(model: type[BaseModel], body: Mapping[str, Any]) -> tuple[set[int | str], bool]:
    """Return the keys whose values are refused, and whether the whole is."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        places = [detail["loc"] for detail in error.errors(include_url=False, include_input=False)]
        return {place[0] for place in places if place}, not all(places)
    return set(), False


def _is_valid(spec: Any, value: Any) -> bool:
    try:
        validated(spec, value)
    except ValidationError:
        return False
    return True


def without_value(detail: ErrorDetails) -> bool:
    """Tell whether what is refused is a value that could not be made."""
    found = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return False
        case "union_tag_invalid" if isinstance(found, dict):
            return found.get("kind") is NO_VALUE
        case _:
            return found is NO_VALUE
