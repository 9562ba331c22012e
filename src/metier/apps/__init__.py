"""The faces of metier: command line now, HTTP and pages beside it."""
