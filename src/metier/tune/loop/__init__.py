"""The training loop: trainer, checkpoints, what is seen of a run while it runs."""
