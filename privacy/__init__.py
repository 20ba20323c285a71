"""What is allowed, and the mathematics of it."""
