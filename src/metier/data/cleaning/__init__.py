"""Cleaning: repairs and filters of texts, each a small rule under a name, each undoable.

``rules`` the registry and its loop; ``clean`` the step that repairs; ``steps`` all steps in order;
``undo`` what people took back; ``history`` what was changed. Import from the modules.
"""
