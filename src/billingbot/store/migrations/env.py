"""Alembic's entry point: runs on the connection that `billingbot.store.migrate` hands over."""

from alembic import context

from billingbot.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
