"""The arguments of `Batcher`: every setting of a run is one, and all are listed where people look."""

import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from batcher import Batcher, run_file
from batcher.api import SettingArguments
from batcher.api.arguments import BatcherArguments, flags_of
from batcher.config import Arguments
from batcher.config.table import ARGUMENTS, LIMITS, RUN_SETTINGS


def test_every_setting_of_a_run_is_an_argument_but_limits_headers_and_what_is_not_supported() -> None:
    others = {setting.name for setting in RUN_SETTINGS} - {setting.name for setting in ARGUMENTS}
    assert others == {*(limit.name for limit in LIMITS), "headers", "max_cost"}
    assert set(SettingArguments.__annotations__) == {setting.name for setting in ARGUMENTS}


@pytest.mark.parametrize("function", [Batcher, run_file])
def test_the_signature_lists_every_argument(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    assert set(parameters) >= set(BatcherArguments.__annotations__)
    assert "settings" not in parameters


def test_a_path_is_absolute_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert flags_of({"ca_file": Path("ca.pem")}, db=Path("a.db")) == Arguments(
        ca_file=os.fspath(tmp_path / "ca.pem"), db="a.db"
    )


def test_none_counts_as_not_given() -> None:
    assert flags_of({"timeout": None, "ca_file": None}, db=None) == Arguments()


@pytest.mark.parametrize("name", ["max_atempts", "rpm", "max_cost", "log_file"])
def test_what_is_no_argument_is_refused_by_its_name(name: str) -> None:
    settings: Any = {name: 1}
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        Batcher(**settings)


def test_the_answers_checks_can_be_switched_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Batcher(simulate=True, validate_output=False, fail_truncated=True)._settings
    assert (settings.validate_output, settings.fail_truncated) == (False, True)
