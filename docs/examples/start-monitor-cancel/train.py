"""A training script of the smallest kind: gradient descent on one number."""

import argparse
from pathlib import Path

from runfold import Run

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=20)
given = parser.parse_args()

run = Run.get_context()
weight = 4.0
for step in range(given.steps):
    weight -= given.learning_rate * 2 * weight
    run.log("loss", weight**2, step=step)
print("weight", weight)

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
(outputs / "weight.txt").write_text(f"{weight}\n")
