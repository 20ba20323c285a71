"""Tasks over the waist, their features and their metrics; pure functions over values."""
