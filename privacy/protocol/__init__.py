"""The messages between holder and coordinator: the closed list, and how a carrier holds one."""
