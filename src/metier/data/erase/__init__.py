"""Erase a person or a case from everything the workspace keeps."""

from metier.data.erase.certificate import certificate_markdown
from metier.data.erase.erasure import Erased, Plan, erase, plan_erasure

__all__ = ["Erased", "Plan", "certificate_markdown", "erase", "plan_erasure"]
