"""Cancel a submitted run, and mark another one as failed: both scripts are stopped."""

from runfold import Experiment, ScriptRunConfig, Workspace

exp = Experiment(workspace=Workspace.from_config(), name="explore-runs")

run_config = ScriptRunConfig(source_directory=".", script="hello_with_delay.py")
local_script_run = exp.submit(run_config)
print(local_script_run.get_status())
local_script_run.cancel()
print(local_script_run.get_status())

local_script_run = exp.submit(run_config)
local_script_run.fail()
print(local_script_run.get_status())
