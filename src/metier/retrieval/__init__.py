"""Retrieval: find passages in documents, and answer from them.

Import from the module that owns the name: ``index`` builds and searches, ``knowledge`` reads a
project's documents, ``grounded`` shows passages to a Completer, ``metrics`` says how much is found.
"""

__all__: list[str] = []
