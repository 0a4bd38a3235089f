"""One module per group of commands. They ask the session, and say how the answer looks; nothing else."""
