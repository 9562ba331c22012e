"""Release a tuned model: the gate, promotion and rollback, export.

decision = decide(results)
promote(ws, "v3")          # from metier.release.promote
rollback(ws)
"""

from metier.release.gate import Decision, decide, describe_result, read_decision

__all__ = ["Decision", "decide", "describe_result", "read_decision"]
