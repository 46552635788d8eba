"""A message can be stored and sent, and what an earlier version stored stays readable."""

import msgspec
import pytest

from batcher.domain.messages import Cause, Message, decode, encode, mapped


@pytest.mark.parametrize(
    "message",
    [
        Cause.NO_CREDIT(),
        Cause.KEY_MISSING(variable="KEY", job=3),
        Cause.SAME_FAILURE(edit=Cause.EDIT_MOVE(path="max_tokens", to="max_completion_tokens")),
    ],
)
def test_a_message_is_read_as_it_was_stored(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("text", ["run `batcher resume`", "", "{", "[1]", '{"a": 1}', '{"cause": "of_tomorrow"}'])
def test_any_other_text_is_kept_as_it_is(text: str) -> None:
    assert decode(text) == Cause.TEXT(text=text)


def test_every_text_of_a_message_can_be_changed() -> None:
    message = Cause.OR_ANOTHER_MODEL(fix=Cause.API_MOVED(address="a-key", job=1))
    assert mapped(message, str.upper) == Cause.OR_ANOTHER_MODEL(fix=Cause.API_MOVED(address="A-KEY", job=1))
    assert mapped("a-key", str.upper) == "A-KEY"


def test_a_document_cannot_hold_a_message_without_words() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode({"fix": Cause.NO_CREDIT()})
