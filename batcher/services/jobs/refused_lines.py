"""Collect a file's invalid lines: by reason, by form, and what to do about them."""

from collections.abc import Iterable
from typing import Final

from batcher.domain.errors import InputError
from batcher.domain.messages import Cause, Message
from batcher.domain.requests import BadLine, BadLines, ForeignLines
from batcher.policy.input.foreign_forms import Form
from batcher.policy.input.form_advice import advice, hints, is_foreign

#: Up to so many lines with the same reason are each shown on a line of their own, unless they are foreign.
_SHOWN_SINGLY: Final = 3
#: Reasons that are kept; of further ones the lines are only counted.
MOST_REASONS: Final = 100
#: Forms whose lines differ in their reasons and are still shown together.
_TOGETHER: Final = frozenset({Form.DATA_ROWS, Form.PRETTY, Form.ARRAY})


class RefusedLines:
    """The invalid lines so far. It keeps the first of them, and one entry for each reason."""

    def __init__(self, *, keep: int | None) -> None:
        #: How many lines are kept whole; None: all.
        self._keep = keep
        self._groups: dict[str, BadLines] = {}
        self._forms: dict[Form, tuple[BadLine, int]] = {}
        self._others = 0
        self.count = 0
        self.kept: list[BadLine] = []

    def add(self, lines: Iterable[BadLine]) -> None:
        """Add lines in the file's order."""
        for bad in lines:
            self.count += 1
            if self._keep is None or len(self.kept) < self._keep:
                self.kept.append(bad)
            form = None if bad.form is None else Form(bad.form)
            if form is None:
                self._others += 1
            else:
                first, count = self._forms.get(form, (bad, 0))
                self._forms[form] = (first, count + 1)
            self._group(bad, bad.reason if form not in _TOGETHER else str(form))

    def _group(self, bad: BadLine, key: str) -> None:
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) < MOST_REASONS:
                self._groups[key] = BadLines(reason=bad.reason, lines=[bad.line], last=bad.line, count=1)
            return
        singly = 1 if bad.form is not None and is_foreign(Form(bad.form), group.count + 1) else _SHOWN_SINGLY
        if len(group.lines) < singly:
            group.lines.append(bad.line)
        group.count += 1
        group.last = bad.line

    @property
    def groups(self) -> list[BadLines]:
        """Return the lines by reason, in the order of the first line of each."""
        return list(self._groups.values())

    @property
    def are_never_skipped(self) -> bool:
        """Return whether the file must not run even without its invalid lines."""
        return Form.CONFLICT in self._forms

    def forms(self, name: str) -> list[ForeignLines]:
        """Return the lines that are of another form than a job file's."""
        return [
            ForeignLines(
                form=form.value,
                count=count,
                first_line=first.line,
                reason=first.reason,
                hint=advice(form, name, keys=first.keys),
            )
            for form, (first, count) in self._forms.items()
            if is_foreign(form, count)
        ]

    def hint(self, name: str, *, valid: bool, skip: Message) -> Message:
        """Return what to do. `valid`: whether the file has valid lines, too; `skip`: how to run those alone."""
        known = {
            form: advice(form, name, keys=first.keys)
            for form, (first, count) in self._forms.items()
            if form is not Form.PRETTY or is_foreign(form, count)
        }
        others = self._others > 0 or len(known) < len(self._forms)
        return hints(known, others=others, valid=valid, skip=skip)

    def error(self, name: str, *, valid: bool) -> InputError:
        """Return the error that refuses the file."""
        lines = "1 line is" if self.count == 1 else f"{self.count:,} lines are"
        return InputError(
            f"{name}: {lines} invalid; nothing was stored",
            source=name,
            bad=self.kept,
            count=self.count,
            groups=self.groups,
            forms=self.forms(name),
            hint=self.hint(name, valid=valid, skip=Cause.SKIP_INVALID()),
        )
