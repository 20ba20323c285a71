"""What travels between holder and coordinator: signed envelopes, the closed list of messages, arrays."""
