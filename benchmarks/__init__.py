"""What runfold costs on this machine: ``python -m benchmarks NAME``, or ``./dev bench NAME``."""
