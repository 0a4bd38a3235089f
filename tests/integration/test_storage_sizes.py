"""What a point takes on disk, by the pages of real files: the figures of docs/benchmarks.md as bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import storage
from benchmarks.place import Place
from runfold import _process
from runfold_projections.metrics.codec import ValueCodec

POINTS = 100_000


@pytest.mark.source_tree
@pytest.mark.parametrize(
    ("codec", "bytes_max"), [("base", storage.VIEW_BYTES_MAX), ("pcodec", storage.PCODEC_BYTES_MAX)]
)
def test_a_float32_like_loss_in_the_view(tmp_path: Path, codec: ValueCodec, bytes_max: float) -> None:
    assert storage.sqlite_view(tmp_path, POINTS, codec) <= bytes_max


@pytest.mark.source_tree
@pytest.mark.parametrize("batch", storage.BATCHES)
def test_a_float32_like_loss_in_the_ledger(tmp_path: Path, batch: int) -> None:
    storage.fill_ledger(Place(home=str(tmp_path)), POINTS, batch)
    _process.close_all()
    assert storage.ledger_bytes_a_point(tmp_path / "ledger.db", POINTS) <= storage.LEDGER_BYTES_MAX
