"""The files people write: canonical form, faults with their lines, and the parts of schema, contract and study."""
