"""What can be said about lines of another form than a job file's. The words are in `messages.job_files`."""

from collections.abc import Mapping, Sequence
from typing import Final

from batcher.domain.messages import Cause, Message
from batcher.policy.input.foreign_forms import Form

STDIN: Final = "<stdin>"
ENCODINGS: Final[Mapping[Form, str]] = {Form.UTF_16: "UTF-16", Form.UTF_32: "UTF-32"}


def advice(form: Form, name: str, *, keys: Sequence[str] = (), delimiter: str = ",") -> Message:
    """Return what to do about lines of this form in the file `name`. `keys`: the keys or columns of its rows.

    Of lines without an endpoint, `keys` holds a likely one.
    """
    return Cause.OF_FORM(form=form.value, name=name, keys=tuple(keys), delimiter=delimiter)


#: Invalid lines that need another command than `--skip-invalid`, or none.
_NOT_FOREIGN: Final = frozenset({Form.NO_MODEL, Form.NO_PATH, Form.BODY_CHECK, Form.REPEATED_ID})
#: A few lines with stray brackets are no pretty-printed file.
_FEWEST_FRAGMENTS: Final = 3


def is_foreign(form: Form, count: int) -> bool:
    """Return whether so many lines of this form mean that the file is of another form than a job file's."""
    return form not in _NOT_FOREIGN and (form is not Form.PRETTY or count >= _FEWEST_FRAGMENTS)


def hints(forms: Mapping[Form, Message], *, others: bool, valid: bool, skip: Message) -> Message:
    """Return what to do about a file's invalid lines, one piece of advice on each line.

    `forms`: the advice for each form among them. `others`: whether there are invalid lines without a form.
    `valid`: whether there are valid lines. `skip`: how to run those alone.
    """
    said = list(forms.values())
    alone = set(forms) <= {Form.REPEATED_ID}
    if Form.CONFLICT in forms or (forms and alone and not others):
        return Cause.LINES(lines=tuple(said))
    if valid:
        said.append(Cause.FIX_LINES_OR(skip=skip))
    elif others or not said:
        said.append(Cause.FIX_LINES())
    return Cause.LINES(lines=tuple(said))


def described(form: Form, *, columns: Sequence[str], lines: int) -> str:
    """Return what a file is as a whole, as a text to follow its name."""
    count = "1 line" if lines == 1 else f"{lines:,} lines"
    match form:
        case Form.CSV:
            shown = ", ".join(columns[:_SHOWN_COLUMNS]) + (", …" if len(columns) > _SHOWN_COLUMNS else "")
            return f"is a table ({count}, with the columns {shown}), not JSON Lines"
        case Form.ARRAY:
            return f"is a JSON array ({count}), not JSON Lines"
        case Form.PRETTY:
            return f"is pretty-printed JSON ({count}); in a job file each request is on one line"
        case Form.UTF_16 | Form.UTF_32:
            return f"is {ENCODINGS[form]} text; a job file is UTF-8"
        case _:
            return f"is {_WHOLE[form]}, not a job file"


_SHOWN_COLUMNS: Final = 8
_WHOLE: Final[Mapping[Form, str]] = {
    Form.ZIP: "a zip archive",
    Form.SPREADSHEET: "a spreadsheet",
    Form.PARQUET: "a Parquet or Arrow file",
    Form.COMPRESSED: "a compressed file",
    Form.WEB_PAGE: "a web page",
}
