"""Adapters of the log ports."""
