"""Secure sums: rosters, pairwise masks, word sizes."""
