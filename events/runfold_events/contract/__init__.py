"""What is said: commands, events, the envelope, ids, limits, codecs. No I/O, no clock, no framework."""
