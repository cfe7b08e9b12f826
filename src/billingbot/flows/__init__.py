"""The verbs: one per file; each moves the work one step and commits; every one may be run twice."""
