"""Metrics of labels, label sets, spans and fields."""
