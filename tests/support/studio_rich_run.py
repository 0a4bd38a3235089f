"""One run with everything that the tabs of its page show: curves, tables, images, charts, files, logs, refusals."""

from __future__ import annotations

import contextlib
import json
import math
import random
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

from runfold import Experiment, PropertyImmutable, Run, Workspace

RUN: Final = "rich"
EXPERIMENT: Final = "segmentation"
STEPS: Final = 400
CLASSES: Final = ("bus", "car", "cat", "dog", "tram")
LOG: Final = "user_logs/std_log.txt"
SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2"><rect width="4" height="2" fill="teal"/></svg>'
)


def fill_rich_run(url: str) -> Run:
    """Make it with the SDK, and end it."""
    rng = random.Random(11)
    run = Experiment(Workspace(url=url), EXPERIMENT).start_logging(
        run_id=RUN, display_name="unet, 5 classes", tags={"stage": "final"}
    )
    with run:
        run.log_params({"lr": 0.003, "depth": 5, "loss": "dice", "augment": True})
        run.add_properties({"dataset": "city@2026-05"})
        _curves(run, rng)
        _tables(run, rng)
        with tempfile.TemporaryDirectory() as folder:
            _files(run, rng, Path(folder))
        _charts(run, rng)
        run.flush()
        with contextlib.suppress(PropertyImmutable):
            run.add_properties({"dataset": "another"})
    run.tag("reviewed", "yes")
    return run


def _curves(run: Run, rng: random.Random) -> None:
    for step in range(STEPS):
        loss = 0.2 + 1.4 * math.exp(-step / 90) + rng.gauss(0, 0.05)
        run.log("train/loss", loss, step=step)
        run.log("train/lr", 0.003 * 0.5 * (1 + math.cos(math.pi * step / STEPS)), step=step)
        if step % 10 == 0:
            run.log("val/loss", loss * 1.1 + rng.gauss(0, 0.02), step=step)
            run.log("val/iou", 0.86 - 0.7 * math.exp(-step / 120) + rng.gauss(0, 0.01), step=step)
    run.log("parameters", 7_763_041)
    run.log("throughput", 218.4)
    run.log("best", "epoch 37")


def _tables(run: Run, rng: random.Random) -> None:
    for epoch in range(8):
        phase = "main" if epoch > 1 else "warm-up"
        run.log_row("epoch", number=epoch, seconds=round(41 + rng.random() * 4, 2), phase=phase)
    columns = {name: [round(rng.random(), 4) for _ in range(6)] for name in ("precision", "recall")}
    run.log_table("per_class", {"class": [*CLASSES, "all"], **columns})
    run.log_list("quantiles", [0.1, 0.22, 0.41, 0.6, 0.93])


def _files(run: Run, rng: random.Random, folder: Path) -> None:
    for step in range(5):
        path = folder / f"mask-{step}.png"
        path.write_bytes(picture(step))
        run.log_image("masks", path=str(path))
    lines = [
        f"\x1b[32m2026-05-02 10:{n // 60:02d}:{n % 60:02d}\x1b[0m INFO step {n} loss {1 / (n + 1):.4f}"
        for n in range(900)
    ]
    lines[450] = "2026-05-02 10:07:30 WARNING gradient norm is 12.4, clipped"
    contents = {
        LOG: "\n".join(lines) + "\n",
        "logs/setup.log": "pip install done\n",
        "outputs/config.json": json.dumps({"model": {"name": "unet", "depth": 5}, "classes": CLASSES}),
        "outputs/scores.csv": "class,iou,note\n"
        + "".join(f'{name},{rng.random():.4f},"a, b"\n' for name in CLASSES),
        "outputs/notes.txt": "Trained on the cleaned masks.\n",
        "outputs/shape.svg": SVG,
        "outputs/model/weights.bin": "\0\1\2" * 400,
        "outputs/model/empty.txt": "",
    }
    for name, text in contents.items():
        path = folder / "one"
        path.write_bytes(text.encode())
        run.upload_file(name, str(path))


def _charts(run: Run, rng: random.Random) -> None:
    size = len(CLASSES)
    matrix = [
        [rng.randrange(4, 30) + (300 if row == column else 0) for column in range(size)]
        for row in range(size)
    ]
    run.log_confusion_matrix(
        "charts/confusion", chart("confusion_matrix", class_labels=CLASSES, matrix=matrix)
    )
    edges = [round(-2 + 0.2 * n, 2) for n in range(21)]
    counts = [round(400 * math.exp(-((edge + 0.1) ** 2))) for edge in edges[:-1]]
    run.log_residuals("charts/residuals", chart("residuals", bin_edges=edges, bin_counts=counts))
    tens = [float(n) for n in range(11)]
    predictions = chart(
        "predictions",
        bin_averages=[n + 0.5 + rng.gauss(0, 0.3) for n in tens[:-1]],
        bin_errors=[0.3 + rng.random() * 0.5 for _ in tens[:-1]],
        bin_counts=[rng.randrange(20, 90) for _ in tens[:-1]],
        bin_edges=tens,
    )
    run.log_predictions("charts/predictions", predictions)
    shares = [n / 20 for n in range(21)]
    tables = [[_counts(share, 2 + number) for share in shares] for number in range(size)]
    table = chart(
        "accuracy_table",
        probability_tables=tables,
        percentile_tables=tables,
        probability_thresholds=shares,
        percentile_thresholds=shares,
        class_labels=CLASSES,
    )
    run.log_accuracy_table("charts/accuracy", table)


def _counts(threshold: float, skill: int) -> list[int]:
    """True and false positives and negatives of 200 members of a class and 300 others."""
    hits, alarms = round(200 * (1 - threshold ** (skill + 1))), round(300 * (1 - threshold) ** skill)
    return [hits, alarms, 300 - alarms, 200 - hits]


def chart(kind: str, **data: Any) -> dict[str, Any]:
    """A chart's file as Azure ML writes it."""
    return {"schema_type": kind, "schema_version": "1.0.0", "data": data}


def picture(number: int, side: int = 96) -> bytes:
    """A PNG, another one for each number."""
    rows = b"".join(
        b"\0" + b"".join(bytes(_pixel(x, y, side, number)) for x in range(side)) for y in range(side)
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _pixel(x: int, y: int, side: int, number: int) -> tuple[int, int, int]:
    near = math.hypot(x - side / 2 + 6 * number, y - side / 2) < side / 3
    return (70 + x, 110 + y, 200) if near else (30 + y // 2, 40 + 8 * number, 60)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
