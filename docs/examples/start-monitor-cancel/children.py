"""Children of a submitted run, of an interactive one, and submitted children; then look for them."""

from runfold import Experiment, ScriptRunConfig, Workspace

exp = Experiment(workspace=Workspace.from_config(), name="explore-runs")

run_config = ScriptRunConfig(source_directory=".", script="hello_with_children.py")
local_script_run = exp.submit(run_config)
local_script_run.wait_for_completion(show_output=True)
print(local_script_run.get_status(), "children:", len(list(local_script_run.get_children())))

with exp.start_logging() as parent_run:
    for count in range(5):
        with parent_run.child_run() as child:
            child.log(name="Hello from child run", value=count)
print([child.get_status() for child in parent_run.get_children()])

submitting = exp.submit(ScriptRunConfig(source_directory=".", script="parent.py"))
submitting.wait_for_completion()
print(submitting.get_metrics(), submitting.get_status())
for child in submitting.get_children(recursive=True):
    print(child.get_metrics(), child.get_status())
