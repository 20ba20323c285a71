"""The report of a run: charts, tables and a page for people."""
