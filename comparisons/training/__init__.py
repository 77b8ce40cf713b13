"""Training, and what it leaves behind: checkpoints, results, and the machine they came from."""
