"""Agents: they take submitted runs, execute them as supervised processes, and record what becomes of them.

An agent is a client of the ledger like any other process: it claims a run, holds it by its lease, and sends what it
observes. What it needs of the ledger stands in :mod:`ports`; the SDK, which knows how to number, retry and deliver,
is behind it.
"""
