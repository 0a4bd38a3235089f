"""What the environment says of a server's databases."""

from __future__ import annotations

import pytest

from runfold_events.contract.errors import Invalid
from runfold_services.postgres_settings import PostgresSettings, postgres_settings_from_environment

DSN = "postgresql://runfold@db/runs"


def test_there_is_no_server_without_a_database() -> None:
    assert postgres_settings_from_environment({"RUNFOLD_POSTGRES": "", "RUNFOLD_FRESH_WAIT_S": "3"}) is None


def test_the_environment_is_read_and_what_was_asked_for_wins() -> None:
    env = {"RUNFOLD_POSTGRES": "http://x", "RUNFOLD_POSTGRES_VIEWS": f"{DSN}2", "RUNFOLD_FRESH_WAIT_S": "2.5"}
    found = postgres_settings_from_environment(env, dsn=DSN)
    assert found == PostgresSettings(dsn=DSN, views_dsn=f"{DSN}2", fresh_wait_s=2.5)


def test_what_is_not_set_is_as_it_was() -> None:
    env = {"RUNFOLD_POSTGRES": DSN, "RUNFOLD_FRESH_WAIT_S": ""}
    assert postgres_settings_from_environment(env) == PostgresSettings(dsn=DSN, fresh_wait_s=1.0)


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1s"])
def test_a_wait_that_is_no_time_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(Invalid, match=rf"RUNFOLD_FRESH_WAIT_S must be a number of seconds, .*'{value}'"):
        postgres_settings_from_environment({"RUNFOLD_POSTGRES": DSN, "RUNFOLD_FRESH_WAIT_S": value})


@pytest.mark.parametrize("name", ["RUNFOLD_POSTGRES", "RUNFOLD_POSTGRES_VIEWS"])
def test_what_is_no_dsn_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(Invalid, match=f"{name} must be a DSN .*'mysql'"):
        postgres_settings_from_environment({"RUNFOLD_POSTGRES": DSN, name: "mysql://db/runs"})
