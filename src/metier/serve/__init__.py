"""Serve releases: answer requests in batches and keep every reply."""

from metier.serve.config import ServeConfig, Upstream

__all__ = ["ServeConfig", "Upstream"]
