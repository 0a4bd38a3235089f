"""Contract suites that adapters of services pass."""
