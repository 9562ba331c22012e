"""The data stage: import, clean, de-identify, find duplicates, split, freeze.

    result = build(project.data, project.objective, workspace, root, Progress())
    result.version.counts, result.steps

Nothing is lost: what a step drops is in quarantine with its reason, and can be restored.
"""
