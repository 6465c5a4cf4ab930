"""The JSON Schema of one file of the book, from the specs: what editors complete, explain and mark as they type.

It says what may stand where, never that something is missing: defaults and overlays may give it.
"""

import inspect
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from annotated_types import MinLen
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.fields import base
from metaplatform.specs.fields.parameters import ParameterSpec
from metaplatform.specs.fields.spec_types import bare, hints_of, models_of
from metaplatform.specs.language.versions import (
    DEFAULTS_KEY,
    FIRST_VERSION,
    IGNORED_PREFIX,
    NEWEST_VERSION,
    PARAMETERS_KEY,
    VERSION_KEY,
)
from metaplatform.specs.structure import CHAPTER_TYPES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PARAMETER = {"$ref": "#/$defs/parameter_sign"}
_SIGN: Schema = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z][A-Za-z0-9_]*\}",
    "description": "A parameter of the book, `${name}`, alone or in a text.",
}
_SENTENCES = re.compile(r"(?<=\.)\s+(?=[A-Z`])")
_NOT_DESCRIBED = frozenset({BaseModel, base.Spec, object})


def book_schema() -> Schema:
    """Return the schema of a file of the book, or of an overlay."""
    definitions = _Definitions()
    chapters = {chapter: definitions.chapter(chapter) for chapter in CHAPTERS}
    parameter = definitions.mapping(ParameterSpec)
    properties: Schema = {
        VERSION_KEY: {
            "enum": list(range(FIRST_VERSION, NEWEST_VERSION + 1)),
            "description": "Version of the book's language, declared once for all files.",
        },
        PARAMETERS_KEY: {**_named(parameter), "description": _text(ParameterSpec)},
        DEFAULTS_KEY: {
            "type": ["object", "null"],
            "description": "For each chapter, keys that lie below each of its entities; an entity's own win.",
            "properties": {chapter: definitions.defaults(chapter) for chapter in CHAPTERS},
            "additionalProperties": False,
        },
        **chapters,
    }
    return {
        "$schema": DIALECT,
        "title": "Instruction book of metaplatform",
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": {f"^{IGNORED_PREFIX}": {"description": "Left alone: a place for anchors."}},
        "additionalProperties": False,
        "$defs": {**dict(sorted(definitions.made.items())), "parameter_sign": _SIGN},
    }


class _Definitions:
    """The schemas of specs by name, each made once."""

    def __init__(self) -> None:
        self.made: dict[str, Schema] = {}

    def chapter(self, chapter: str) -> Schema:
        """Return the schema of a chapter: names with their entities."""
        spec = CHAPTER_TYPES[chapter]
        return {**_named(self._models(spec, required=False)), "description": _common_text(models_of(spec))}

    def defaults(self, chapter: str) -> Schema:
        """Return the schema of a chapter's defaults: the keys of all its kinds."""
        found: dict[str, list[Schema]] = {}
        for model in models_of(CHAPTER_TYPES[chapter]):
            reference = self.mapping(model)["$ref"]
            for key in self.made[_definition(model)]["properties"]:
                found.setdefault(key, []).append({"$ref": f"{reference}/properties/{key}"})
        return {
            "type": ["object", "null"],
            "properties": {key: _any_of(self._distinct(each)) for key, each in found.items()},
            "additionalProperties": False,
        }

    def _distinct(self, references: Sequence[Schema]) -> list[Schema]:
        """Return those of some references to keys that allow different values."""
        found: dict[str, Schema] = {}
        for reference in references:
            _, _, name, _, key = reference["$ref"].split("/")
            schema = self.made[name]["properties"][key]
            allowed = {word: value for word, value in schema.items() if word not in {"description", "default"}}
            found.setdefault(json.dumps(allowed, sort_keys=True), reference)
        return list(found.values())

    def mapping(self, model: type[BaseModel], *, required: bool = False) -> Schema:
        """Return a reference to the schema of a spec; in a list its ``required`` keys must stand."""
        name = _definition(model)
        if name not in self.made:
            # Known before it is made: a spec may hold its like.
            self.made[name] = {}
            needed = [key for key, field in model.model_fields.items() if field.is_required() and key != "name"]
            self.made[name] = {
                "type": "object",
                "description": _text(model),
                "properties": self._properties(model, nullable=not required),
                **({"required": needed} if required and needed else {}),
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}

    def _models(self, spec: Any, *, required: bool) -> Schema:
        found = [self.mapping(model, required=required) for model in models_of(spec)]
        return _any_of(found)

    def _properties(self, model: type[BaseModel], *, nullable: bool = True) -> Schema:
        hints = hints_of(model)
        properties: Schema = {}
        for key, field in model.model_fields.items():
            if key == "name" and model in _named_models():
                continue
            value = self._value(hints[key], field, required=False)
            if nullable and not field.is_required():
                value = _any_of([*value.get("anyOf", [value]), {"type": "null"}])
            properties[key] = {**value, **_described(model, key, field)}
        return properties

    def _value(self, hint: Any, field: FieldInfo | None, *, required: bool) -> Schema:
        """Return the schema of a value of type ``hint``; ``required`` within lists."""
        plain = bare(hint)
        if models_of(plain):
            return self._models(plain, required=required)
        least = next((limit.min_length for limit in field.metadata if isinstance(limit, MinLen)), 0) if field else 0
        if get_origin(plain) is tuple:
            items = self._value(get_args(plain)[0], None, required=True)
            return {"type": "array", "items": items, **({"minItems": least} if least else {})}
        if get_origin(plain) is dict:
            key, value = get_args(plain)
            names = {name: word for name, word in _leaf(key).items() if name in {"pattern", "enum"}}
            return {
                "type": "object",
                **({"propertyNames": names} if names else {}),
                "additionalProperties": self._value(value, None, required=required),
                **({"minProperties": least} if least else {}),
            }
        return _or_parameter(_leaf(Annotated[hint, *field.metadata] if field and field.metadata else hint))


def _definition(model: type[BaseModel]) -> str:
    """Return the name of a spec's schema: of a spec that is not the platform's, with its module."""
    own = model.__module__.partition(".")[0] == __name__.partition(".")[0]
    return model.__name__ if own else f"{model.__module__}.{model.__name__}"


def _leaf(hint: Any) -> Schema:
    """Return the schema of a scalar; null is left to where the scalar stands."""
    schema = TypeAdapter(hint).json_schema()
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    return _any_of(branches) if branches else schema


def _any_of(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _or_parameter(schema: Schema) -> Schema:
    """Return the schema of a scalar in whose place a parameter may stand."""
    branches = schema.get("anyOf", [schema])
    if any(
        branch.get("type") == "string" and not branch.keys() & {"pattern", "enum", "const", "maxLength"}
        for branch in branches
    ):
        return schema
    return {"anyOf": [*branches, _PARAMETER]}


def _named(entry: Schema) -> Schema:
    """Return the schema of a mapping of names to entries, which may be empty."""
    return {
        "type": ["object", "null"],
        "propertyNames": {"pattern": _leaf(base.Name)["pattern"]},
        "additionalProperties": _any_of([*entry.get("anyOf", [entry]), {"type": "null"}]),
    }


def _named_models() -> frozenset[type[BaseModel]]:
    """Return the specs whose name is their key."""
    return frozenset({ParameterSpec, *(model for spec in CHAPTER_TYPES.values() for model in models_of(spec))})


def _described(model: type[BaseModel], key: str, field: FieldInfo) -> Schema:
    """Return description and default of a key, for whoever points at it."""
    sentences = [sentence for each in _documented(model) for sentence in _sentences_on(key, _text(each))]
    if key == "kind":
        sentences = [_text(model)]
    elif not sentences:
        sentences = [_text(inner).split("\n\n")[0] for inner in _specs_within(hints_of(model)[key])]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    shown = isinstance(default, bool | int | float | str) and default != ""
    return {
        **({"description": " ".join(dict.fromkeys(sentences))} if sentences else {}),
        **({"default": default} if shown else {}),
    }


def _specs_within(hint: Any) -> Sequence[type[BaseModel]]:
    """Return the specs that a value of this type is, or holds."""
    plain = bare(hint)
    inner = get_args(plain)[-1:] if get_origin(plain) is dict else get_args(plain)[:1]
    return models_of(plain) or (models_of(inner[0]) if inner else ())


def _sentences_on(key: str, text: str) -> Sequence[str]:
    return [sentence for sentence in _SENTENCES.split(text) if f"`{key}`" in sentence]


def _documented(model: type[BaseModel]) -> Sequence[type]:
    return [each for each in inspect.getmro(model) if each not in _NOT_DESCRIBED]


def _text(model: type) -> str:
    """Return a spec's docstring as one Markdown text."""
    paragraphs = (inspect.getdoc(model) or "").replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _common_text(models: Sequence[type[BaseModel]]) -> str:
    """Return what is said of all kinds of a chapter, or of each in turn."""
    return "\n\n".join(dict.fromkeys(_text(model).split("\n\n")[0] for model in models))
