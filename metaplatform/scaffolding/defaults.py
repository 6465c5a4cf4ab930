"""Defaults of the language as new entries show them: told in a comment, written only where data ask for less.

What an entry does not say, the language says: when a default changes, entries that do not name it change with it.
"""

from metaplatform.scaffolding.yaml_text import commented
from metaplatform.specs.fields.base import Spec


def default_of(spec: type[Spec], field: str) -> object:
    """Return what the language takes where a spec does not say ``field``."""
    return spec.model_fields[field].get_default(call_default_factory=True, validated_data={})


def told(spec: type[Spec], field: str, note: str, *, indent: int = 4) -> str:
    """Return a line, commented out, that shows a field's default and what it is about."""
    return commented(f"{' ' * indent}# {field}: {default_of(spec, field)}", f"the default: {note}")


def fitted(spec: type[Spec], field: str, wanted: int, *, least: int = 10) -> int | None:
    """Return the number that ``field`` should be where there are few rows; None where the default will do."""
    default = default_of(spec, field)
    number = max(least, wanted)
    return number if isinstance(default, int) and number < default else None


def with_fitted(spec: type[Spec], field: str, wanted: int) -> str:
    """Return the end of a mapping in brackets that says ``field``, empty where the default will do."""
    number = fitted(spec, field, wanted)
    return "" if number is None else f", {field}: {number}"
