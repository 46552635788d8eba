"""What `resume` says about the flags that replaced what a job remembered."""

from typing import Any

import pytest
from msgspec.structs import replace

from batcher.config import FileSettings, Flags, remembered_changes, resolve_job
from batcher.domain.settings import LIMIT_NAMES, JobSettings, Limits
from batcher.domain.states import CacheMode

KEPT = JobSettings(
    base_url="https://api.openai.com/v1", limits=Limits(rpm=300), model_limits={"m": Limits(tpm=200_000)}
)


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (Flags(), []),
        (Flags(rpm=("300",)), []),
        (Flags(rpm=("500",)), ["rpm: 500, was 300"]),
        (Flags(tpm=("500",)), ["tpm: 500, was not given"]),
        (Flags(rpm=("m=5",), tpm=("m=1.5M",)), ["rpm of m: 5, was not given", "tpm of m: 1500000, was 200000"]),
        (
            Flags(base_url="https://b.example/v1"),
            ["base URL: https://b.example/v1, was https://api.openai.com/v1"],
        ),
        (Flags(api_key_env="B_KEY"), ["key variable: B_KEY, was OPENAI_API_KEY"]),
        (Flags(max_attempts=2), ["most attempts: 2, was 6"]),
        (Flags(timeout=2.5, max_wait=60), ["timeout: 2.5 s, was 600 s", "longest wait: 60 s, was 3600 s"]),
        (Flags(max_cost=5), ["cost cap: $5, was none"]),
        (Flags(cache="off"), ["cache: off, was all", "reuse of earlier answers: not reused, was reused"]),
        (Flags(allow_http=True), ["plain http with a key: allowed, was refused"]),
        (Flags(ca_file="/a.pem"), ["CA file: /a.pem, was the system's"]),
    ],
)
def test_each_replaced_setting_is_one_sentence(flags: Flags, sentences: list[str]) -> None:
    new = resolve_job(flags, remembered=KEPT, environ={}, file=FileSettings())
    assert remembered_changes(KEPT, new) == sentences


def test_a_limit_and_a_header_that_went_are_said_too() -> None:
    old = replace(KEPT, headers={"X-Team": "TEAM"})
    new = replace(KEPT, limits=Limits())
    assert remembered_changes(old, new) == [
        "variable of the header X-Team: not given, was TEAM",
        "rpm: not given, was 300",
    ]


@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_every_limit_that_changed_is_said(name: str) -> None:
    old = replace(KEPT, limits=Limits(), model_limits={})
    new = replace(old, limits=Limits(**{name: 7.0}), model_limits={"m": Limits(**{name: 8.0})})
    assert remembered_changes(old, new) == [f"{name}: 7, was not given", f"{name} of m: 8, was not given"]


OTHER_VALUES = [
    ("base_url", "https://b.example/v1"),
    ("api_key_env", "B"),
    ("headers", {"X": "Y"}),
    ("limits", Limits(tpm=1)),
    ("model_limits", {}),
    ("cache", CacheMode.OFF),
    ("reuse_earlier", False),
    ("max_attempts", 1),
    ("timeout", 1.0),
    ("max_wait", 1.0),
    ("max_cost", 1.0),
    ("allow_http", True),
    ("ca_file", "/a.pem"),
    ("validate_output", False),
    ("fail_truncated", True),
    ("simulate", True),
]


@pytest.mark.parametrize(("field", "value"), OTHER_VALUES)
def test_no_setting_changes_in_silence(field: str, value: Any) -> None:
    assert remembered_changes(KEPT, replace(KEPT, **{field: value}))


def test_the_table_above_names_every_setting() -> None:
    assert {name for name, _ in OTHER_VALUES} == set(JobSettings.__struct_fields__)
