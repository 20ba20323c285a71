"""Who may connect, the gateway they come through, and Flower's link behind it."""
