"""The nouns and the plumbing that every other unit shares. Imports no torch and nothing above."""
