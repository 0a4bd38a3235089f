"""A ledger as a file that other stores can take in: NDJSON, one line an event, in the order of its streams.

``docs/moving.md`` describes the format for people. ``exporting`` writes it, ``importing`` takes it in; both
need memory for a few hundred events at a time, however large the ledger is.
"""
