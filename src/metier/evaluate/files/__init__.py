"""Predictions made elsewhere: files of them scored alone, or as a rung of a project."""
