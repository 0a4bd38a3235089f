"""The ``runs`` projection: one summary row per run, with rows to find it by."""
