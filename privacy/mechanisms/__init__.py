"""Discrete noise from the operating system's CSPRNG; the only place where noise is drawn."""
