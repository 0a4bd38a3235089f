"""How runs are found by plain words, and counted by what they have: a part of the views' contract suite."""

from __future__ import annotations

from typing import Any

import pytest

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunQuery
from runfold_projections.testing.history import WORKSPACE
from runfold_projections.testing.views_scene import Scene, ViewsSuite


class FindingContract(ViewsSuite):
    """Everything that holds of searching and grouping, for any adapter."""

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("", ["root", "child", "grandchild", "beside"]),
            ("beside", ["beside"]),
            ("BESI", ["beside"]),
            ("second", ["beside"]),  # an experiment
            ("alice child", ["child", "grandchild"]),  # who submitted, and an id
            ("trial", ["child"]),  # a tag's value
            ("kind", ["root", "child"]),  # a tag's key
            ("child kind", ["child"]),
            ("nothing", []),
            ("10%", ["odd"]),
            ("a_b", ["odd"]),
            ("b%", []),
            ('say"', ["odd"]),
            ("back\\slash", ["odd"]),
            ('":"', []),  # of the JSON around tags, which is no word of anybody
            ("{", []),
            ("null", []),
            ("größe", ["odd"]),
        ],
    )
    def test_plain_words_find_runs(self, filled: Scene, words: str, found: list[str]) -> None:
        tags = {'say"so': "back\\slash", "empty": None, "größe": "10%"}
        filled.history.create("odd", display_name="odd a_b", tags=tags)
        wanted = [*found, "odd"] if not words else found
        assert self.ids(filled, search=words, include_children=True) == wanted
        query = RunQuery(search=words, include_children=True)
        assert self.ask(filled.views.count(WORKSPACE, query)) == len(wanted)

    def test_words_and_a_filter_hold_both(self, filled: Scene) -> None:
        assert self.ids(filled, search="kind", filter='status = "Completed"', include_children=True) == [
            "child"
        ]

    def test_a_search_has_a_bound(self, filled: Scene) -> None:
        with pytest.raises(LimitExceeded) as caught:
            self.ids(filled, search=" ".join(str(n) for n in range(limits.SEARCH_WORDS_MAX + 1)))
        assert caught.value.facts["field"] == "search"

    def test_runs_are_counted_by_what_they_have(self, filled: Scene) -> None:
        def groups(by: str, **query: Any) -> dict[str | None, dict[Status, int]]:
            asked = RunQuery(include_children=True, **query)
            found = self.ask(filled.views.groups(WORKSPACE, asked, by))
            assert found.complete
            assert all(group.count == sum(group.runs.values()) for group in found.groups)
            counts = [group.count for group in found.groups]
            assert counts == sorted(counts, reverse=True)
            return {group.value: group.runs for group in found.groups}

        assert groups("tags.kind") == {
            "sweep": {Status.RUNNING: 1},
            "trial": {Status.COMPLETED: 1},
            None: {Status.NOT_STARTED: 1, Status.RUNNING: 1},
        }
        assert groups("params.lr") == {
            "0.01": {Status.COMPLETED: 1},
            None: {Status.NOT_STARTED: 1, Status.RUNNING: 2},
        }
        assert groups("experiment", filter='status = "Running"') == {
            "exp": {Status.RUNNING: 1},
            "second": {Status.RUNNING: 1},
        }
        assert groups("properties.data", search="nothing") == {}
        for by in ("metrics.loss", "description", "tags", "nothing"):
            with pytest.raises(Invalid) as caught:
                groups(by)
            assert caught.value.field == "by"
