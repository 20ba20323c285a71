"""Studies on their way into the holders' inboxes, and what their people decided."""
