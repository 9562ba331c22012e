"""Metrics of free text: likeness, form, tone, coverage."""
