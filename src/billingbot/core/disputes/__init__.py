"""One dispute, its deadline, and the answer to the bank, as values."""
