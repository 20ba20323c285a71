"""Studies that came for this holder's people to decide on, and what the coordinator is told of it."""
