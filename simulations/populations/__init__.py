"""The generated city of the demo: its people, their tables, their consent."""
