"""The human queue: what people do with a case."""
