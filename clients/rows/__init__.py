"""A holder's rows on their way to a task: read, coded, windowed, filtered by consent."""
