"""Packing: which examples share a step, and how a forward pass lays them out without padding."""
