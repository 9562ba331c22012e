"""Learn from served replies: feedback, failures, cases for the next cycle.

    record_feedback(...)        what a user said of a reply
    collect(...)                which replies experts look at
    next_work(...)              one of them, leased
    correct_item(...)           the right answer, as a case

``collect`` and ``correct`` are also modules of this package: import their functions from there.
"""

from metier.feedback.config import FeedbackConfig

__all__ = ["FeedbackConfig"]
