"""The pure core: nouns and rules; values in, values out; no I/O, no clock, no randomness, no framework."""
