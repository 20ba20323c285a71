"""Who has agreed to what, at the holder only."""
