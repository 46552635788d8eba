"""Who wrote a file: it is read once, and again when it has changed."""

from pathlib import Path
from unittest.mock import patch

from batcher.files import authorship
from batcher.files.authorship import NotOfAJob, author_of
from batcher.policy.output.line_author import LineAuthor

_LINE = b'{"id": "batch_req_abc00000001", "custom_id": "a", "error": null, "batcher": {"cached": 0}}\n'


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"
    place.write_bytes(_LINE * 3)
    assert author_of(place) == LineAuthor("abc", is_result=True)
    with patch.object(authorship, "_opened", side_effect=AssertionError("it was opened again")):
        assert author_of(place) == LineAuthor("abc", is_result=True)


def test_a_line_that_a_person_adds_afterwards_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"
    place.write_bytes(_LINE * 3)
    author_of(place)
    with place.open("ab") as file:
        file.write(b"mine\n")
    assert author_of(place) is NotOfAJob.FOREIGN


def test_another_file_of_the_same_size_in_its_place_is_seen(tmp_path: Path) -> None:
    place, other = tmp_path / "out.jsonl", tmp_path / "mine"
    place.write_bytes(_LINE)
    author_of(place)
    other.write_bytes(b"x" * len(_LINE))
    other.replace(place)
    assert author_of(place) is NotOfAJob.FOREIGN


def test_a_folder_is_foreign_and_a_missing_file_is_nothing(tmp_path: Path) -> None:
    assert author_of(tmp_path) is NotOfAJob.FOREIGN
    assert author_of(tmp_path / "none" / "out.jsonl") is NotOfAJob.NOTHING
