"""Trained networks at work on pictures: on the command line, and in a page on this machine."""
