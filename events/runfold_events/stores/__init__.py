"""Adapters of the ``EventStore`` port, one package each; the same contract suite runs against every one."""
