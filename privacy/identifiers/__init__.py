"""What names a person in a text or a cell: patterns, checksums, names, and how they are masked."""
