"""Views in Postgres: in a schema of their own, in the event store's database or in another."""

from runfold_projections.stores.postgres.connection import ViewTimeouts
from runfold_projections.stores.postgres.schema import create_views_schema
from runfold_projections.stores.postgres.store import PostgresViewStore

__all__ = ["PostgresViewStore", "ViewTimeouts", "create_views_schema"]
