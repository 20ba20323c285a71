"""Keys that take the place of others: what both keys and two people sign, and what a house remembers."""
