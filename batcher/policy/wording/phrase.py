"""A regular expression that is compiled when it is first used."""

import re
from functools import cached_property


class Phrase:
    """What a failure's message may say, as a pattern without regard to case.

    There are dozens of them, and most commands need none. Compiling those of `token_overflow` and
    `account_trouble` took 2 % of the time in which the modules of a run are imported.
    """

    def __init__(self, pattern: str, *, over_lines: bool = False) -> None:
        """`over_lines`: a `.` in the pattern matches the end of a line, too."""
        self._pattern = pattern
        self._flags = re.IGNORECASE | re.DOTALL if over_lines else re.IGNORECASE

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern, self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match anywhere in the text, as `re.search` does."""
        return self._compiled.search(text)
