"""What the coordinator's people do at their desk, without any command line."""
