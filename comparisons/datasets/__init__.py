"""The data of the five tasks. Each reader reports what it loaded, how much, and from where."""
