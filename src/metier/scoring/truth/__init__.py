"""Metrics of truthfulness: support, facts, citations, refusals."""
