"""Logs one value in the run that it is the script of; by hand, in an offline run that prints it."""

from runfold import Run

run = Run.get_context()
run.log("message", "Hello from run!")
print("hello from run", run.id)
