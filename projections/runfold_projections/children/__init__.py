"""The ``children`` projection: how many children and descendants of each run have which status."""
