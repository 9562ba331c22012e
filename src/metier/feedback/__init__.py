"""Learn from served replies: feedback, failures, cases for the next cycle."""

from metier.feedback.config import FeedbackConfig

__all__ = ["FeedbackConfig"]
