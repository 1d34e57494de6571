"""Where a trial runs: one contract, the serial executor, and subprocess slots."""
