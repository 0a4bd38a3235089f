"""Parse filters and field paths. Errors name the column, what was expected and what was found.

expression  = conjunction { "or" conjunction }
conjunction = negation { "and" negation }
negation    = "not" negation | "(" expression ")" | "has" "(" field ")" | field predicate
predicate   = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
            | [ "not" ] ( "like" | "ilike" ) text
            | [ "not" ] "in" "(" value { "," value } ")"
            | "is" [ "not" ] "null"
field       = attribute | group "." key { "." key } [ "." aggregate ]
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.errors import LimitExceeded
from runfold_events.contract.statuses import Status
from runfold_projections.filters.fields import AGGREGATES, ATTRIBUTES, GROUPS, Aggregate, Field, suggestion
from runfold_projections.filters.nodes import (
    And,
    Compare,
    Has,
    In,
    IsNull,
    Like,
    Literal_,
    Node,
    Not,
    Operator,
    Or,
)
from runfold_projections.filters.tokens import Token, invalid, tokens
from runfold_projections.values import float_of

_OPERATORS: Final[dict[str, Operator]] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_ORDERED: Final = frozenset({"<", "<=", ">", ">="})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES: Final = (*ATTRIBUTES, *(f"{group}." for group in GROUPS))
_VALUE: Final = "a number, a text in quotes, true, false or null"


def parse_filter(text: str) -> Node:
    """The tree of a filter.

    Raises:
        Invalid: the text is no filter; the message says where and why.
        LimitExceeded: it is too long, too deep, or has too many conditions.
    """
    parser = _Parser(tokens(text))
    node = parser.expression(0)
    parser.expect_end()
    return node


def parse_field(text: str, field: str = "fields") -> Field:
    """One field path such as ``status``, ``metrics.loss`` or ``tags."two words"``; ``field`` names it in errors."""
    parser = _Parser(tokens(text, field))
    found = parser.field()
    parser.expect_end()
    return found


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._nodes = 0

    # Tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, text: str) -> bool:
        """True for a keyword, whatever its case, or a symbol."""
        token = self._token
        if token.kind == "word":
            return token.text.lower() == text
        return token.kind == "symbol" and token.text == text

    def _take(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._at += 1
        return token

    def _take_if(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _expect(self, text: str, why: str) -> None:
        if not self._take_if(text):
            raise self._expected(f"{text} {why}")

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self._token.kind != "end":
            raise self._expected("and, or, or the end")

    def _expected(self, what: str, hint: str = "") -> Exception:
        token = self._token
        if token.kind == "end":
            found = "the end"
        elif token.kind == "text":
            found = f"the text {token.text[:40]!r}"
        else:
            found = token.text[:40]
        return invalid(token.column, f"expected {what}, found {found}{hint}")

    def _count(self, token: Token) -> None:
        self._nodes += 1
        if self._nodes > limits.FILTER_NODES_MAX:
            raise LimitExceeded(
                f"filter, at column {token.column}: more than {limits.FILTER_NODES_MAX} conditions and values",
                facts={"field": "filter", "limit": limits.FILTER_NODES_MAX, "size": self._nodes},
            )

    # Logic

    def expression(self, depth: int) -> Node:
        """One or more conjunctions joined by ``or``."""
        if depth > limits.FILTER_DEPTH_MAX:
            raise LimitExceeded(
                f"filter, at column {self._token.column}: more than {limits.FILTER_DEPTH_MAX} levels deep",
                facts={"field": "filter", "limit": limits.FILTER_DEPTH_MAX, "size": depth},
            )
        items = [self._conjunction(depth)]
        while self._take_if("or"):
            items.append(self._conjunction(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _conjunction(self, depth: int) -> Node:
        items = [self._negation(depth)]
        while self._take_if("and"):
            items.append(self._negation(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _negation(self, depth: int) -> Node:
        times = 0
        while self._take_if("not"):
            times += 1
        node = self._condition(depth)
        return Not(node) if times % 2 else node

    def _condition(self, depth: int) -> Node:
        self._count(self._token)
        if self._take_if("("):
            node = self.expression(depth + 1)
            self._expect(")", "to close the parenthesis")
            return node
        if self._is("has") and self._tokens[self._at + 1].text == "(":
            return self._has()
        start = self._token
        return self._predicate(self.field(), start)

    def _has(self) -> Node:
        self._at += 2
        start = self._token
        found = self.field()
        if found.group == "attribute":
            raise invalid(start.column, f"has() is for tags, properties, params and metrics, not {found.key}")
        self._expect(")", "after the field of has()")
        return Has(found)

    # Fields

    def field(self) -> Field:
        """An attribute, or a key of a group."""
        token = self._token
        if token.kind != "word":
            raise self._expected("a field such as status or metrics.loss")
        self._at += 1
        if token.text in GROUPS:
            if not self._take_if("."):
                raise self._expected(f". and a key after {token.text}")
            return self._key(token.text)
        if token.text not in ATTRIBUTES:
            hint = suggestion(token.text, _NAMES)
            raise invalid(token.column, f"there is no field {token.text[:80]!r}{hint}")
        if self._is("."):
            raise self._expected(f"an operator after {token.text}")
        return Field("attribute", token.text)

    def _key(self, group: str) -> Field:
        parts = [self._key_part()]
        while self._take_if("."):
            parts.append(self._key_part())
        aggregate: Aggregate = "latest"
        last = parts[-1]
        if group == "metrics" and len(parts) > 1 and last.kind == "word" and last.text in AGGREGATES:
            aggregate = AGGREGATES[last.text]
            parts.pop()
        return Field(GROUPS[group], ".".join(part.text for part in parts), aggregate)

    def _key_part(self) -> Token:
        if self._token.kind not in ("word", "text"):
            raise self._expected("a key; odd ones stand in quotes")
        return self._take()

    # Predicates

    def _predicate(self, field: Field, start: Token) -> Node:
        token = self._token
        if token.kind == "symbol" and token.text in _OPERATORS:
            self._at += 1
            return self._comparison(field, _OPERATORS[token.text], token)
        if self._take_if("is"):
            negated = self._take_if("not")
            self._expect("null", "after is")
            return IsNull(field, negated)
        negated = self._take_if("not")
        for word in ("like", "ilike"):
            if self._take_if(word):
                return self._like(field, word == "ilike", negated)
        if self._take_if("in"):
            return self._in(field, negated)
        raise self._expected("an operator: = != < <= > >= like in is", self._operator_hint(field, start))

    def _operator_hint(self, field: Field, start: Token) -> str:
        word = self._token.text
        if field.group == "attribute" and self._token.kind == "word":
            return suggestion(word, ("like", "ilike", "in", "is", "not"))
        return ""

    def _comparison(self, field: Field, operator: Operator, token: Token) -> Node:
        if self._is("null"):
            if operator not in ("=", "!="):
                raise self._expected("a value: null can be compared with = and != alone")
            self._at += 1
            return IsNull(field, negated=operator == "!=")
        value_token = self._token
        value = self._value(field)
        if operator in _ORDERED and (isinstance(value, bool) or field.attribute_type == "status"):
            raise invalid(
                token.column, f"{operator} needs a number, a time or a text; {value_token.text} has no order"
            )
        return Compare(field, operator, value)

    def _like(self, field: Field, ignore_case: bool, negated: bool) -> Node:
        token = self._token
        if field.attribute_type not in (None, "text", "status") or field.aggregate != "latest":
            raise invalid(
                token.column, f"like compares texts; {field.key} is a {field.attribute_type or 'number'}"
            )
        if token.kind != "text":
            raise self._expected('a pattern in quotes, such as "fan%"')
        self._at += 1
        return Like(field, token.text, ignore_case, negated)

    def _in(self, field: Field, negated: bool) -> Node:
        self._expect("(", "after in")
        values = [self._value(field)]
        while self._take_if(","):
            self._count(self._token)
            values.append(self._value(field))
        self._expect(")", "or , after a value of in")
        return In(field, tuple(values), negated)

    # Values

    def _value(self, field: Field) -> Literal_:
        token = self._token
        if token.kind == "number":
            value: Literal_ = _number(token.text)
        elif token.kind == "text" and token.quote != "`":
            value = token.text
        elif self._is("true") or self._is("false"):
            value = token.text.lower() == "true"
        else:
            raise self._expected(_VALUE, self._value_hint())
        self._at += 1
        return _typed(field, value, token)

    def _value_hint(self) -> str:
        token = self._token
        if token.kind == "word" and token.text not in ("null", "and", "or", "not"):
            return f'; texts stand in quotes: "{token.text[:40]}"'
        return "; values stand in \" or '" if token.quote == "`" else ""


def _number(text: str) -> int | float:
    if text.lstrip("+-").isdigit():
        if len(text) < 20 and limits.INT64_MIN <= int(text) <= limits.INT64_MAX:
            return int(text)
        return float(text)
    return float(text)


def _typed(field: Field, value: Literal_, token: Token) -> Literal_:
    """The value as the field's own type, or an error that says what the field is compared with."""
    kind = field.attribute_type
    if field.aggregate != "latest" or kind == "number":
        if isinstance(value, bool | str):
            raise invalid(token.column, f"{field.key} is compared with a number, not with {_shown(token)}")
        return float_of(value) * 1_000_000 if field.key == "duration_s" and kind else value
    if kind == "boolean" and not isinstance(value, bool):
        raise invalid(token.column, f"{field.key} is compared with true or false, not with {_shown(token)}")
    if kind in ("text", "time", "status") and not isinstance(value, str):
        raise invalid(
            token.column, f"{field.key} is compared with a text in quotes, not with {_shown(token)}"
        )
    if kind == "time":
        return _time(str(value), token)
    if kind == "status" and value not in tuple(Status):
        hint = suggestion(str(value), Status)
        raise invalid(token.column, f"there is no status {_shown(token)}{hint}")
    return value


def _time(text: str, token: Token) -> int:
    """ISO 8601 as UTC µs; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise invalid(
            token.column, f'expected a time such as "2024-05-01T12:00:00Z", found {_shown(token)}'
        ) from None


def _shown(token: Token) -> str:
    return repr(token.text[:40]) if token.kind == "text" else token.text[:40]
