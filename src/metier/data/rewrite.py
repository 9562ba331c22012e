"""The old place of ``metier.data.cleaning.rewrite``."""

from metier.data.cleaning.rewrite import move_spans, result_of, rewrite

__all__ = ["move_spans", "result_of", "rewrite"]
