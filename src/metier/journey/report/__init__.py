"""The report: one self-contained HTML page, from the verdict down to how it was measured."""

from metier.journey.report.inputs import ReportInputs
from metier.journey.report.page import build_report

__all__ = ["ReportInputs", "build_report"]
