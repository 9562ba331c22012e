"""LLM-as-judge: ratings and comparisons that fail closed, and checks of the judge itself."""
