"""Identities, key files and signed documents."""
