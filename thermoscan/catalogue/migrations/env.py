"""What Alembic runs: the steps, inside the transaction of the connection that it is given."""

from __future__ import annotations

from alembic import context

from thermoscan.catalogue.upgrading import VERSION_TABLE


def run() -> None:
    """Runs the steps. All of them or, where one fails, none: both databases undo DDL."""
    context.configure(
        connection=context.config.attributes["connection"],
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


# Alembic executes this file under this name; whoever imports it as a module wants nothing run.
if __name__ == "env_py":
    run()
