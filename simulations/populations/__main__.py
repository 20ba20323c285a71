"""`python -m ringfence.simulations.populations`: base rates and best reachable AUC of the generated city."""

from ringfence.simulations.populations.city import main

main()
