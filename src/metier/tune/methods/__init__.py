"""What is trained: every weight, an adapter, or nothing here (a hosted run)."""
