"""Parameters as a book declares them and its environment sets them."""

from collections.abc import Iterable, Mapping

from metaplatform.errors import Issue
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.parameters import ParameterSpec, value_of, value_of_text
from metaplatform.specs.language.overlays import mapping_of, overlaid
from metaplatform.specs.language.places import issue_of
from metaplatform.specs.language.sections import Entry, first_of_each_name
from metaplatform.specs.language.substitution import Parameter
from metaplatform.specs.structure import build_spec


def declared_parameters(
    entries: Iterable[Entry], over: Iterable[Entry], variables: Mapping[str, str]
) -> tuple[dict[str, Parameter | None], dict[str, Entry], list[Issue]]:
    """Return each parameter that a book declares, its entry, and what is wrong with them.

    A parameter is None where it has no value. ``over`` are those of an overlay. ``variables`` are the
    environment's.
    """
    first, issues = first_of_each_name(entries)
    merged, faults = overlaid({entry.ref: entry for entry in first}, over)
    issues.extend(faults)
    parameters: dict[str, Parameter | None] = {}
    for entry in merged.values():
        spec, found = _declared(entry)
        parameters[entry.name], unset = _resolved(spec, variables) if spec else (None, ())
        issues.extend(issue_of(entry, fault) for fault in (*found, *unset))
    return parameters, {entry.name: entry for entry in merged.values()}, issues


def unused_parameters(entries: Mapping[str, Entry], used: set[str]) -> list[Issue]:
    """Return a warning for every parameter that no value uses."""
    return [
        Issue(
            rule="unused",
            owner=entry.ref,
            culprit=name,
            message=f"nothing uses parameter '{name}'",
            fix=f"write ${{{name}}} where it is meant, or remove it",
            location=entry.location,
            severity="warning",
        )
        for name, entry in entries.items()
        if name not in used
    ]


def _declared(entry: Entry) -> tuple[ParameterSpec | None, tuple[Fault, ...]]:
    body = mapping_of(entry)
    if body.kind != "mapping":
        fix = "write `type:` and `default:` indented below it"
        return None, (Fault("wrong-type", (), entry.name, f"'{entry.name}' is not a mapping", fix),)
    if body.get("name") is not None:
        fix = "remove it: a parameter's key is its name"
        return None, (Fault("unknown-key", ("name",), "name", "unknown key 'name'", fix, at_key=True),)
    spec, faults = build_spec(ParameterSpec, {**body.plain(), "name": entry.name})
    if spec is None or spec.default is None:
        return spec, faults
    try:
        value_of(spec.type, spec.default)
    except ValueError as error:
        message = f"default: {error}"
        return None, (
            Fault("wrong-type", ("default",), str(spec.default)[:80], message, "give it a value of its type"),
        )
    return spec, ()


def _resolved(spec: ParameterSpec, variables: Mapping[str, str]) -> tuple[Parameter | None, tuple[Fault, ...]]:
    text = variables.get(spec.variable, "")
    if not text:
        if spec.default is not None:
            return Parameter(spec.type, value_of(spec.type, spec.default)), ()
        message = f"environment variable {spec.variable} is not set, and there is no default"
        return None, (Fault("unset-parameter", (), spec.name, message, f"set {spec.variable}, or add 'default:'"),)
    try:
        return Parameter(spec.type, value_of_text(spec.type, text)), ()
    except ValueError as error:
        # What the variable holds is not shown: it may be meant for something else.
        message = f"environment variable {spec.variable}: {error}"
        return None, (Fault("wrong-type", (), spec.variable, message, f"correct {spec.variable}"),)
