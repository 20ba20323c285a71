"""Worked cases: schema, contract and study files for public data sets."""
