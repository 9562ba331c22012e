"""Write a frozen version in the formats that trainers and hubs read."""

from metier.data.export.formats import FORMATS, Format, row_of
from metier.data.export.write import Exported, export_version

__all__ = ["FORMATS", "Exported", "Format", "export_version", "row_of"]
