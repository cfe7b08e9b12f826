"""Again: failed jobs and missed events, with what it would pay said beforehand."""
