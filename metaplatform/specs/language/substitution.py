"""``${parameter}`` in the values of the book: typed where it stands alone, as text in a text, as a literal in SQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metaplatform.errors import Issue
from metaplatform.specs.fields.parameters import ParameterType, Value, sql_of, text_of
from metaplatform.specs.fields.spec_types import bare, inside, is_sql
from metaplatform.specs.language.splicing import SqlPlaceError, spliced, sql_spliced
from metaplatform.specs.yaml_source import Node, measure
from metaplatform.text.nearest import MOST_NEAREST, nearest_name

MARK = "${"
ESCAPE = "$${"
_SIGN = re.compile(r"\$\$\{|\$\{([^{}]*\})?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MAX_INSERTED = 20_000_000
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Parameter:
    """A parameter's type and value."""

    type: ParameterType
    value: Value


@dataclass
class Substitution:
    """Puts values in place of parameters, and keeps what went wrong and which names were used.

    ``parameters`` maps a name to None where its declaration or the environment is at fault.
    ``poisoned`` are ids of the values that could not be made: what is said of them is not their fault.
    """

    parameters: Mapping[str, Parameter | None]
    issues: list[Issue] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    poisoned: set[int] = field(default_factory=set)
    _done: dict[tuple[int, int], tuple[Node, Any, Node]] = field(default_factory=dict)
    _inserted: int = 0

    def apply(self, node: Node, spec: Any, owner: str) -> Node:
        """Return the value of type ``spec`` with parameters replaced; itself where there are none."""
        if MARK not in node.source.text:
            return node
        key = (id(node), id(spec))
        if key not in self._done:
            # Node and type are kept beside their results, so that their ids stay their own.
            self._done[key] = (node, spec, self._applied(node, spec, owner))
        return self._done[key][2]

    def _applied(self, node: Node, spec: Any, owner: str) -> Node:
        if node.kind == "scalar":
            return self._scalar(node, spec, owner) if isinstance(node.value, str) and MARK in node.value else node
        if node.kind == "list":
            items = [self.apply(item, inside(spec, index), owner) for index, item in enumerate(node.items)]
            made = replace(node, items=items)
            measure(made, items)
            return made
        pairs = [(name, self.apply(value, inside(spec, str(name.value)), owner)) for name, value in node.pairs]
        made = replace(node, pairs=pairs)
        measure(made, [part for pair in pairs for part in pair])
        return made

    def _scalar(self, node: Node, spec: Any, owner: str) -> Node:
        text = str(node.value)
        signs = list(_SIGN.finditer(text))
        found = [None if sign[0] == ESCAPE else self._parameter(sign, node, owner) for sign in signs]
        if any(one is None and sign[0] != ESCAPE for one, sign in zip(found, signs, strict=True)):
            return self._poison(node)
        whole = found[0] if len(signs) == 1 and signs[0][0] == text else None
        if whole is not None and not is_sql(spec):
            # Where only text can stand, a number is its text.
            value = text_of(whole.value) if bare(spec) is str else whole.value
            return replace(node, value=value, written=node, moves=((0, len(str(value)), 0, len(text)),))
        spans = [sign.span() for sign in signs]
        try:
            if is_sql(spec):
                literals = [sql_of(one.type, one.value) if one else None for one in found]
                made, moves = sql_spliced(text, spans, literals, otherwise=MARK)
            else:
                made, moves = spliced(text, spans, [text_of(one.value) if one else MARK for one in found])
        except SqlPlaceError as error:
            self._fault("parameter-in-sql-text", node, owner, error.culprit, error.message, error.fix)
            return self._poison(node)
        self._inserted += len(made)
        if self._inserted > _MAX_INSERTED:
            message = f"parameters make more than {_MAX_INSERTED:,} characters of the book"
            self._fault("book-too-large", node, owner, "parameters", message, "use fewer, or shorter ones")
            return self._poison(node)
        return replace(node, value=made, written=node, moves=moves)

    def _parameter(self, sign: re.Match[str], node: Node, owner: str) -> Parameter | None:
        """Return the parameter that ``${name}`` names, or None if it has no value, and say so if none has said it."""
        name = (sign[1] or "").removesuffix("}")
        if name in self.parameters:
            self.used.add(name)
            return self.parameters[name]
        if _NAME.fullmatch(name):
            declared = ", ".join(sorted(self.parameters)[:_MOST_SHOWN]) or "none"
            fix = f"declare it below `parameters:`; declared are: {declared}"
            near = nearest_name(name, self.parameters) if len(self.issues) < MOST_NEAREST else None
            self._fault("unknown-parameter", node, owner, name, f"there is no parameter '{name}'", fix, near)
        else:
            shown = sign[0][:40]
            fix = "write `${name}`, or `$${` where the text is to hold `${`"
            self._fault("parameter-syntax", node, owner, shown, f"'{shown}' names no parameter", fix)
        return None

    def _poison(self, node: Node) -> Node:
        self.poisoned.add(id(node))
        return node

    def _fault(
        self, rule: str, node: Node, owner: str, culprit: str, message: str, fix: str, nearest: str | None = None
    ) -> None:
        self.issues.append(Issue(rule, owner, culprit, message, fix, node.location, nearest))
