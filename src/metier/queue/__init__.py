"""What people are asked to look at: items, leases, answers."""

__all__: list[str] = []
