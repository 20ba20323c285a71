"""The coordinator's process: registry, approvals, rounds."""
