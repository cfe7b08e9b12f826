"""Postgres, the truth: tables, migrations, and plain functions that take a connection."""
