"""``python -m metier``: the command line."""

from metier.apps.cli import main

main()
