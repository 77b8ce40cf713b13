"""The tasks that `new-task` copies: each file here is a complete task that runs as it is."""
