"""Tags change, properties do not; both find runs again."""

from runfold import Experiment, Workspace

exp = Experiment(workspace=Workspace.from_config(), name="explore-runs")
with exp.start_logging() as run:
    run.log(name="message", value="Hello from run!")

run.add_properties({"author": "azureml-user"})
print(run.get_properties())
try:
    run.add_properties({"author": "different-user"})
except Exception as e:
    print(e)

run.tag("quality", "great run")
run.tag("quality", "fantastic run")
run.tag("worth another look")
print(run.get_tags())

by_value = exp.get_runs(properties={"author": "azureml-user"}, tags={"quality": "fantastic run"})
by_key = exp.get_runs(properties={"author": "azureml-user"}, tags="worth another look")
print(run.id in [found.id for found in by_value], run.id in [found.id for found in by_key])
