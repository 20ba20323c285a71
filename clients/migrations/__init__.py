"""The form of a holder's store, and the steps from each version of it to the next."""
