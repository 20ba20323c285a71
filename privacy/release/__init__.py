"""The export gate: the only way from a holder or coordinator to a person or a file."""
