"""The common case of a line: a batch line of a plain-text chat, checked by its types alone.

The decoder does in one pass what `line_parser` checks one by one. If it does not accept a line, that says nothing
about the line except that `line_parser` must examine it. Whatever is accepted here `line_parser` would accept too,
as the same request; a test compares them.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from batcher.domain.requests import ParsedLine
from batcher.policy.api_paths import CHAT, normal_path
from batcher.policy.input.row_notes import ANSWERED
from batcher.policy.tokens.estimate import output_tokens, text_chat_tokens

MAX_CUSTOM_ID: Final = 512
#: Longer lines are left to `line_parser`: they are few, and it reports the maximum length.
_MOST_BYTES: Final = 1 << 20
#: Quotes around four keys and three strings; if there are more, a key of the envelope may occur twice.
_ENVELOPE_QUOTES: Final = 14

_ANSWERED: Final = (ANSWERED,)

_Count = Annotated[int, Meta(ge=1, le=2**53)]
_Integer = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_Number = Annotated[float, Meta(ge=-1e9, le=1e9)]


class _Envelope(Struct, forbid_unknown_fields=True, gc=False):
    custom_id: Annotated[str, Meta(min_length=1, max_length=MAX_CUSTOM_ID)]
    method: Literal["POST"]
    url: str
    body: Raw


class _Message(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _Chat(Struct, forbid_unknown_fields=True, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    n: _Count | None = None
    temperature: _Number | None = None
    top_p: _Number | None = None
    frequency_penalty: _Number | None = None
    presence_penalty: _Number | None = None
    seed: _Integer | None = None
    user: str | None = None


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_chat: Final = msgspec.json.Decoder(_Chat).decode


def plain_line(raw: bytes, *, line: int) -> ParsedLine | None:
    """Return the request of such a line; None if it is anything else, valid or not."""
    if len(raw) > _MOST_BYTES:
        return None
    try:
        envelope = _read_envelope(raw)
        chat = _read_chat(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    body = bytes(envelope.body)
    if normal_path(envelope.url) != CHAT or chat.model.isspace():
        return None
    if raw.count(b'"') != body.count(b'"') + _ENVELOPE_QUOTES:
        return None
    spoken = [text for message in chat.messages for text in (message.role, message.content)]
    return ParsedLine(
        line=line,
        custom_id=envelope.custom_id,
        path=CHAT,
        model=chat.model,
        body=body,
        est_input=text_chat_tokens(spoken, messages=len(chat.messages), model=chat.model),
        est_output=output_tokens(max(chat.max_tokens or 0, chat.max_completion_tokens or 0), answers=chat.n or 1),
        deterministic=chat.seed is not None or chat.temperature == 0,
        notes=_ANSWERED if chat.messages[-1].role == "assistant" else (),
    )
