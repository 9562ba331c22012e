"""Targets and constraints judged; items and looks planned."""
