"""What is learned from: one module per algorithm, each with items, passes and a loss."""
