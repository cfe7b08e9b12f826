"""Policy: published, tried on the past, and run as a shadow."""
