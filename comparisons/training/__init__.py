"""Training, its checkpoints and results, and a description of the machine."""
