"""``./dev bench rivals``: the same work done by MLflow, by FastTrackML and by runfold, in turn, in one run.

``environments``  each rival in an environment of its own, from a lock file beside this one
``servers``       every side's server, started here and gone afterwards
``side``          the port: how a side is asked for what all of them can do
``mlflow_wire``, ``runfold_wire``  its two adapters; FastTrackML speaks MLflow's wire
``calls``         what a user's script waits for, in processes of their own
``rows``          what is compared, and what it is held against
``tables``, ``plot``  how it is shown
"""
