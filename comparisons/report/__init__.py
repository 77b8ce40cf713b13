"""The table and the page that show the results of the runs in a folder."""
