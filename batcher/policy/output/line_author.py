"""Recognizes lines that this program wrote: only files that consist of them are replaced or removed."""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

#: How every result and error line begins: the public id of the job, and eight digits for the line.
_START: Final = re.compile(rb'\{"id": "batch_req_([0-9A-Za-z_-]{1,64})[0-9a-f]{8}", "custom_id": ')
_OURS: Final = b', "batcher": {"cached": '
_ANSWERED: Final = b', "error": null, "batcher": {'


class LineAuthor(Struct, frozen=True):
    """Which job wrote a line, by its public id, and whether it is a result or an error."""

    job: str
    is_result: bool

    def is_job(self, public_id: str) -> bool:
        """Return whether the job of that public id wrote it."""
        return public_id.removeprefix("batch_") == self.job

    def wrote_it(self) -> Callable[[bytes], bool]:
        """Return a fast test whether this author wrote a line, too."""
        start, is_result = b'{"id": "batch_req_%b' % self.job.encode(), self.is_result

        def test(line: bytes) -> bool:
            return line.startswith(start) and _OURS in line and (_ANSWERED in line) == is_result

        return test


def author_of_line(line: bytes) -> LineAuthor | None:
    """Return who wrote the line; None if this program did not."""
    start = _START.match(line)
    if start is None or _OURS not in line:
        return None
    return LineAuthor(start[1].decode(), _ANSWERED in line)
