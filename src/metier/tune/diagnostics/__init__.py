"""What became of a run, in plain words and with the numbers that say so. Torch-free, but pairing.

    diagnose(points, facts) -> (Finding("overfitting", "warning", "The validation loss ...", ...),)

``types`` what is known and what is found; ``reading`` the numbers read off the series; ``rules``
one function per finding; ``diagnose`` all of them, cause first; ``pairing`` whether the model uses
what it is asked.
"""
