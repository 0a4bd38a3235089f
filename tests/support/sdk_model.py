"""What a faultless delivery would leave behind; knows nothing of numbers, batches or retries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


class DeliveryModel:
    """Per run: values, tags, properties and how many values were lost."""

    def __init__(self) -> None:
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.tags: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
        self.properties: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
        self.lost: defaultdict[str, int] = defaultdict(int)

    def log(self, run_id: str, values: Sequence[float], lost: int) -> None:
        """``values`` were logged; the last ``lost`` of them found no room."""
        self.values[run_id] += values[: len(values) - lost]
        self.lost[run_id] += lost

    def tag(self, run_id: str, value: str) -> None:
        self.tags[run_id]["n"] = value

    def property(self, run_id: str, key: str, value: str) -> bool:
        """Whether it is accepted: written once, the same again is fine."""
        return self.properties[run_id].setdefault(key, value) == value
