"""One module for each version of a holder's store; Alembic runs them in the order they name."""
