"""A holder as a witness of its coordinator's log."""
