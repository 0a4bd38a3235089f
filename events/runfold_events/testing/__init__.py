"""What adapters and those who write new ones test with: the port's contract suite and builders of events."""
