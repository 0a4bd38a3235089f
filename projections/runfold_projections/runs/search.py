"""Plain words: runs in whose names, description, tags, experiment or submitter every word stands somewhere.

A word is looked for as a part of the text, whatever the case of A to Z. No index helps with that, so each run of the
list's scope is looked at: 100,000 of them in well under a second.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runfold_events.contract import limits
from runfold_events.contract.errors import LimitExceeded
from runfold_projections.filters.compile import Sql, joined
from runfold_projections.filters.tokens import check_text
from runfold_projections.spelling import Pattern

_COLUMNS: Final = ("display_name", "name", "run_id", "experiment", "created_by", "description")
_SPECIAL: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def search_condition(text: str) -> Sql | None:
    """The condition on a run's row ``r`` that each word of ``text`` stands in it; None without words.

    Raises:
        LimitExceeded: the text is too long, or has too many words.
        Invalid: it holds what no store can hold.
    """
    check_text(text, "search")
    words = list(dict.fromkeys(text.split()))
    if len(words) > limits.SEARCH_WORDS_MAX:
        raise LimitExceeded(
            f"search may have {limits.SEARCH_WORDS_MAX} words; it has {len(words)}",
            facts={"field": "search", "limit": limits.SEARCH_WORDS_MAX, "size": len(words)},
        )
    return joined("AND", [_stands_in_run(word) for word in words]) if words else None


def _stands_in_run(word: str) -> Sql:
    pattern = _part(word)
    anywhere = [Sql(f"{{ilike r.{column} ?}}", pattern) for column in _COLUMNS]
    return joined("OR", [*anywhere, _stands_in_tags(word, pattern)])


def _stands_in_tags(word: str, pattern: Pattern) -> Sql:
    """The row's JSON of all tags sorts out most runs; their labels then tell a word from the JSON around it."""
    in_json = _part(msgspec.json.encode(word)[1:-1].decode())
    return Sql(
        "({ilike r.tags ?} AND EXISTS (SELECT 1 FROM {p}label x WHERE x.run_key = r.run_key AND x.kind = 'tag' "
        "AND ({ilike x.key ?} OR {ilike x.text ?})))",
        in_json,
        pattern,
        pattern,
    )


def _part(text: str) -> Pattern:
    return Pattern(f"%{text.translate(_SPECIAL)}%", ignore_case=True)
