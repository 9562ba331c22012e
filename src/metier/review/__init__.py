"""Panels of people who rate stored replies: rubric, plan, panel, answers, results, preferences."""
