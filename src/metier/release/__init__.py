"""Release a tuned model: the gate, promotion and rollback, export."""

__all__: list[str] = []
