"""What parent.py submits: tells which run submitted it."""

import argparse

from runfold import Run

parser = argparse.ArgumentParser()
parser.add_argument("--fruit")
given = parser.parse_args()

## In child run script
child_run = Run.get_context()
child_run.log("fruit", given.fruit)
parent = child_run.parent
print("submitted by", parent.id if parent else "nobody")
