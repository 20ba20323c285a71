"""Tables as they are read: delimited text, Parquet, one cell's text, and the quality gate."""
