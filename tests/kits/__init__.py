"""What tests of several folders share: small inputs, parties, stores, and noise of their own."""
