"""The table of settings: it holds every setting, and what it says of them is whole."""

from typing import Any

import pytest

from batcher.config.setting import Keeper, Setting
from batcher.config.table import BY_NAME, LIMITS, SETTINGS, TABLES
from batcher.domain.settings import LIMIT_NAMES, JobSettings, ProcessSettings

#: Fields made from other settings: the limits from a row for each limit, the last one from the cache mode.
MADE = {"limits", "model_limits", "reuse_earlier"}
#: Settings of the process that only the command line has.
WITHOUT_FIELD = {"log_file", "log_format"}


def names(keeper: Keeper) -> set[str]:
    return {setting.name for setting in SETTINGS if setting.keeper is keeper}


def test_every_field_of_the_settings_is_a_row() -> None:
    assert names(Keeper.JOB) == set(JobSettings.__struct_fields__) - MADE | set(LIMIT_NAMES)
    assert names(Keeper.PROCESS) == set(ProcessSettings.__struct_fields__) | WITHOUT_FIELD
    assert tuple(limit.name for limit in LIMITS) == LIMIT_NAMES


def test_a_name_a_flag_a_key_and_a_variable_belong_to_one_setting() -> None:
    assert len(BY_NAME) == len(SETTINGS)
    for spelled in ([each.toml for each in SETTINGS], [each.variable for each in SETTINGS]):
        given = [place for place in spelled if place is not None]
        assert len(given) == len(set(given))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_row_is_whole(setting: Setting[Any]) -> None:
    assert setting.help.endswith(".")
    assert setting.has_flag or setting.toml is not None
    assert (setting.label != "") is (setting.keeper is Keeper.JOB)
    takes_a_value = setting.has_flag and setting.kind is not bool
    assert takes_a_value is (bool(setting.metavar or setting.choices) and setting.has_flag)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("max_attempts", "Maximum attempts per row.  [default: 6]"),
        ("timeout", "Maximum seconds per attempt.  [default: 600]"),
        ("concurrency", "Maximum requests in flight.  [default: adaptive]"),
        ("db", "Path of the store.  [env: BATCHER_DB; default: batcher.db]"),
        ("allow_http", "Allow a key over plain HTTP to a public host."),
        ("fail_truncated", "Make dead letters of answers that are cut at their token limit.  [default: off]"),
        ("ca_file", "CA certificates, in PEM.  [env: SSL_CERT_FILE; default: the system's]"),
    ],
)
def test_help_says_what_a_setting_does_and_where_it_comes_from(name: str, says: str) -> None:
    assert BY_NAME[name].help_with_sources == says


def test_what_may_change_while_a_job_runs_is_what_its_rows_do_not_depend_on() -> None:
    live = {setting.name for setting in SETTINGS if setting.is_live}
    assert live == {"rpm", "tpm", "concurrency", "max_attempts", "max_cost"}


def test_the_tables_of_the_file_are_those_of_the_rows() -> None:
    assert TABLES["provider"] == ("base_url", "api_key_env", "headers", "allow_http", "ca_file")
    assert TABLES["limits"] == LIMIT_NAMES
    assert set(TABLES) == {"provider", "limits", "retry", "cache", "store", "run"}
