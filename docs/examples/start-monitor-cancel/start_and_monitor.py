"""Start a run, look at it, complete it: by hand and with ``with``."""

import runfold
from runfold import Experiment, Workspace

print(runfold.VERSION)

ws = Workspace.from_config()
exp = Experiment(workspace=ws, name="explore-runs")

notebook_run = exp.start_logging()
notebook_run.log(name="message", value="Hello from run!")
print(notebook_run.get_status())
print(notebook_run.get_details())
notebook_run.complete()
print(notebook_run.get_status())

with exp.start_logging() as notebook_run:
    notebook_run.log(name="message", value="Hello from run!")
    print(notebook_run.get_status())
print(notebook_run.get_status())
