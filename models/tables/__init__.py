"""Results that are tables of noisy values: what they are, which cells may be shown, and as which files."""
