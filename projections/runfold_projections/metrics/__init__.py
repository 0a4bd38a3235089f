"""The ``metrics`` projection: every point, in chunks that are sealed at 4,096 points."""
