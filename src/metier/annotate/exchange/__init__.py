"""Exchange: items and answers in the shapes of other tools, both ways."""
