"""The command ``runfold``: a thin reader and writer over the SDK's transports. Entry point: ``runfold.cli.main``."""
