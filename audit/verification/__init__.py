"""Offline verification of exported logs: from the standard library and `cryptography` alone."""
