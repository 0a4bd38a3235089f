"""The ``history`` projection: one row per event that is no metric batch; put into words when it is read."""
