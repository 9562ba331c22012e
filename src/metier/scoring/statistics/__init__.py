"""Intervals, tests, power and agreement: what a number is worth."""
