"""Ledger: stores the records that stages leave for one another, and finds them again.

A write is one transaction: the artifact first, then the row, its index rows and its lineage
edges together, so that a killed process leaves everything or nothing to be found. Wherever an id
is asked for, ``latest`` and any unambiguous prefix will do.
"""

from metier.core.ledger.asides import (
    BadInput,
    Noted,
    QuarantineContent,
    Quarantined,
    add_changes,
    add_quarantine,
    add_suspects,
    count_quarantine,
    list_changes,
    list_quarantine,
    list_suspects,
    open_change,
    open_quarantine,
    open_suspect,
    restore_quarantine,
)
from metier.core.ledger.cases import (
    finish_cycle,
    list_cases,
    list_cycles,
    save_cases,
    start_cycle,
    update_cycle,
)
from metier.core.ledger.evaluations import (
    get_evaluation,
    list_evaluations,
    load_predictions,
    look_of,
    save_evaluation,
)
from metier.core.ledger.find import LATEST
from metier.core.ledger.interactions import (
    add_feedback,
    count_interactions,
    get_interaction,
    get_interactions,
    list_feedback,
    list_interactions,
    new_interaction_id,
    save_interactions,
)
from metier.core.ledger.probes import latest_probe, list_probes, save_probe
from metier.core.ledger.runs import (
    finish_run,
    get_run,
    list_runs,
    metric_points,
    record_metrics,
    resume_run,
    start_run,
)
from metier.core.ledger.versions import (
    Member,
    get_version,
    list_members,
    list_versions,
    load_split,
    record_source,
    save_version,
)

__all__ = [
    "LATEST",
    "BadInput",
    "Member",
    "Noted",
    "QuarantineContent",
    "Quarantined",
    "add_changes",
    "add_feedback",
    "add_quarantine",
    "add_suspects",
    "count_interactions",
    "count_quarantine",
    "finish_cycle",
    "finish_run",
    "get_evaluation",
    "get_interaction",
    "get_interactions",
    "get_run",
    "get_version",
    "latest_probe",
    "list_cases",
    "list_changes",
    "list_cycles",
    "list_evaluations",
    "list_feedback",
    "list_interactions",
    "list_members",
    "list_probes",
    "list_quarantine",
    "list_runs",
    "list_suspects",
    "list_versions",
    "load_predictions",
    "load_split",
    "look_of",
    "metric_points",
    "new_interaction_id",
    "open_change",
    "open_quarantine",
    "open_suspect",
    "record_metrics",
    "record_source",
    "restore_quarantine",
    "resume_run",
    "save_cases",
    "save_evaluation",
    "save_interactions",
    "save_probe",
    "save_version",
    "start_cycle",
    "start_run",
    "update_cycle",
]
