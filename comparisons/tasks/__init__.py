"""The tasks: all that each system is, written once for either implementation."""
