"""What a release costs, and how much noise a budget buys."""
