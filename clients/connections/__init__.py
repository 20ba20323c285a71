"""How a holder comes to the coordinator: the federation it joined, and its node there."""
