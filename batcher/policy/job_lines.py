"""A request as a line of a job file, in the form of OpenAI's batches."""

from typing import Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode


def job_line(custom_id: str, path: str, body: bytes) -> bytes:
    """The line with its end; the body keeps its bytes, but for line breaks between tokens, which become spaces."""
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'{"custom_id": %b, "method": "POST", "url": %b, "body": %b}\n' % (
        _encode(custom_id),
        _encode(path),
        body,
    )
