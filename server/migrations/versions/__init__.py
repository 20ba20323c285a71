"""One module for each version of a coordinator's store; Alembic runs them in the order they name."""
