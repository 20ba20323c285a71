"""The keys of a holder: looked at, replaced, and those of others that it trusts."""
