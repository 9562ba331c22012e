"""Measure candidates and honest baselines on the same frozen test set, and judge the gain."""
