"""The data of the five tasks. Each reader says what it loaded, from where, and how much of it."""
