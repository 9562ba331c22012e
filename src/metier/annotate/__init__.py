"""Rows for people to label: which, with what form, under which guideline."""
