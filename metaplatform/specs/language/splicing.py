"""Pieces put into texts: plain ones anywhere, SQL literals only where an SQL text has room for a value."""

from collections.abc import Iterator, Sequence
from itertools import count

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from metaplatform.specs.yaml_source import Move
from metaplatform.sql.dialect import DIALECT

Span = tuple[int, int]
"""Start and end offset of a part of a text."""


class SqlPlaceError(ValueError):
    """A place in SQL where no literal can stand; ``culprit`` is the part of the text that asks for one."""

    def __init__(self, text: str, span: Span) -> None:
        self.culprit = text[slice(*span)]
        self.message = f"{self.culprit} stands within a string, a quoted name, a comment or another word"
        self.fix = (
            "write it bare, blanks around it: it becomes an SQL literal; join texts by `||`, as in `'a' || ${name}`"
        )
        super().__init__(self.message)


def spliced(text: str, spans: Sequence[Span], pieces: Sequence[str]) -> tuple[str, tuple[Move, ...]]:
    """Return ``text`` with a piece in place of each span, and which part of it comes from where."""
    position = length = 0
    parts: list[str] = []
    moves: list[Move] = []
    for (start, end), piece in zip(spans, pieces, strict=True):
        parts += [text[position:start], piece]
        length += start - position
        moves.append((length, length + len(piece), start, end))
        length += len(piece)
        position = end
    return "".join([*parts, text[position:]]), tuple(moves)


def sql_spliced(
    text: str, spans: Sequence[Span], literals: Sequence[str | None], *, otherwise: str
) -> tuple[str, tuple[Move, ...]]:
    """Return SQL with a literal in place of each span, or the text ``otherwise`` where the literal is None.

    Each literal takes the place of one whole token: the tokens around it stay what they were.

    Raises:
        SqlPlaceError: if a span is within a string, a quoted name or a comment, or touches another word.
    """
    names = _names_not_in(text)
    stand_ins = [otherwise if literal is None else next(names) for literal in literals]
    probe, moves = spliced(text, spans, stand_ins)
    tokens = _tokens(probe)
    if tokens is None:
        # No SQL in any case: the rules will say so of the text with names in place of literals.
        return probe, moves
    found = {token.text for token in tokens}
    literal_of: dict[str, str] = {}
    for span, literal, name in zip(spans, literals, stand_ins, strict=True):
        if literal is None:
            continue
        if name not in found:
            raise SqlPlaceError(text, span)
        literal_of[name] = literal
    made, moves = spliced(text, spans, [literal_of.get(name, name) for name in stand_ins])
    expected = [word for token in tokens for word in _words(literal_of.get(token.text), token)]
    again = _tokens(made)
    if again is None or [(token.token_type, token.text) for token in again] != expected:
        raise SqlPlaceError(text, spans[0])
    return made, moves


def _words(literal: str | None, token: Token) -> list[tuple[TokenType, str]]:
    """Return the tokens that stand in the made text for a token of the probe."""
    tokens = [token] if literal is None else DIALECT.tokenize(literal)
    return [(each.token_type, each.text) for each in tokens]


def _tokens(text: str) -> list[Token] | None:
    try:
        return DIALECT.tokenize(text)
    except (TokenError, RecursionError):
        return None


def _names_not_in(text: str) -> Iterator[str]:
    """Yield names that neither stand in the text nor can come from joining its parts."""
    stem = "parameter"
    while stem in text:
        stem += "_x"
    return (f"{stem}{number}z" for number in count())
