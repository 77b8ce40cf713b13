"""Looking inside a network: what it is made of, what it computes, and how it learns."""
