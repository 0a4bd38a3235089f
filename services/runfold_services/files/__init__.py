"""Contents of runs' files, and logs that are still being written: where the bytes are kept."""
