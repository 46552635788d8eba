"""Each error has a kind for programs, which does not change."""

from pathlib import Path

import pytest

from batcher.domain import errors

DOCS = Path(__file__).parents[3] / "docs" / "json.md"
KINDS = {
    "BatcherError": "store",
    "UsageError": "usage",
    "ConfigError": "config",
    "CredentialsError": "credentials",
    "UnknownJob": "unknown_job",
    "InputError": "input",
    "StoreError": "store",
    "StoreTooNew": "store",
    "ForeignStore": "store",
    "RunnerBusy": "busy",
    "NotFinished": "unfinished",
    "Paused": "paused",
}


def test_every_error_has_its_kind() -> None:
    found = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {each.__name__: each.kind for each in found if issubclass(each, errors.BatcherError)} == KINDS


@pytest.mark.parametrize("kind", sorted({*KINDS.values()}))
def test_a_kind_is_documented(kind: str) -> None:
    assert f"`{kind}`" in DOCS.read_text(encoding="utf-8")
