"""Populations, partitions, runners and reports for researchers."""
