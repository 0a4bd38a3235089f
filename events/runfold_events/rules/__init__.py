"""What is allowed: ``decide`` and ``evolve``. Pure: no clock, no id generator, no I/O, no await."""
