"""The plumbing of files that people write: canonical form, faults with their lines, TOML."""
