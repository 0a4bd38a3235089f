"""runfold services: what runs. Processes and their wiring."""
