"""The holder's process: configuration, table, pipeline, waist gate."""
