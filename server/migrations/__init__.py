"""The form of a coordinator's store, and the steps from each version of it to the next."""
