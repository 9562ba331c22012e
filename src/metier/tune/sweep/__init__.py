"""Sweeps: which settings to tune with, found at a fraction of what trying all of them costs."""
