"""The ``artifacts`` projection: which files each run has recorded."""
