"""The table and the page: what the runs of a folder found."""
