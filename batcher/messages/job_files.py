"""What to do about a file in another form: the command that makes job lines of it, and what it cannot carry.

docs/other-forms.md explains each. The commands can be pasted; longer programs are files beside this package.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from batcher.domain.messages import Cause, Parameter
from batcher.messages.templates import Parameters, Template, literal
from batcher.policy.input.foreign_forms import Form
from batcher.policy.input.form_advice import ENCODINGS, STDIN

#: The folder of the jq programs, which a wheel holds, too.
PROGRAMS: Final = Path(__file__).parents[1] / "jq"
_UNPACK: Final = {".gz": "gzip -dc", ".zst": "zstd -dc"}
_STEM: Final = re.compile(r"(\.jsonl|\.ndjson|\.json|\.csv|\.tsv|\.txt|\.parquet)?(\.gz|\.zst)?$", re.IGNORECASE)
#: Columns and keys that usually hold the text to send, the likeliest first.
_TEXTS: Final = ("prompt", "question", "text", "instruction", "input", "query", "content", "problem", "sentence")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def lines_file(name: str) -> str:
    """Return the name of the job file that a command makes of the file `name`."""
    return f"{_STEM.sub('', 'stdin' if name == STDIN else name)}.lines.jsonl"


def with_jq(program: str, name: str) -> str:
    """Return the command that sends the file through a jq program, given with its options."""
    target = shlex.quote(lines_file(name))
    if name == STDIN:
        return literal(f"jq -c {program} > {target}")
    unpack = next((command for ending, command in _UNPACK.items() if name.lower().endswith(ending)), None)
    if unpack is not None:
        return literal(f"{unpack} {shlex.quote(name)} | jq -c {program} > {target}")
    return literal(f"jq -c {program} {shlex.quote(name)} > {target}")


def _program_file(form: str, name: str) -> str:
    return with_jq(f"-f {shlex.quote(str(PROGRAMS / f'{form}.jq'))}", name)


def run_it(name: str, *options: str) -> str:
    """Return the command that runs the made job file."""
    return literal(f"`{' '.join(['batcher run', shlex.quote(lines_file(name)), *options])}`")


def _gemini(name: str) -> str:
    return (
        f"`{_program_file('gemini', name)}` makes job lines of them, without responseModalities, imageConfig,"
        " responseSchema, tools, safety settings, and files that are no images; embedding requests are refused;"
        f" then {run_it(name, '--model', 'MODEL')}"
    )


def _anthropic(name: str) -> str:
    return (
        f"`{_program_file('anthropic', name)}` makes chat lines of them, without cache_control, thinking,"
        f" documents and tools; then {run_it(name)}"
    )


def _bedrock(name: str) -> str:
    return (
        f"`{_program_file('bedrock', name)}` makes chat lines of them if they are Anthropic's or Nova's bodies,"
        f" without tools and documents; then {run_it(name, '--model', 'MODEL')}"
    )


def _body_alone(name: str) -> str:
    program = (
        '\'if .url then . else {custom_id, method: "POST", url: (if .body.messages then "/v1/chat/completions"'
        ' elif .body.input then "/v1/embeddings" else "/v1/completions" end), body} end\''
    )
    return (
        f"`{with_jq(program, name)}` adds them; then {run_it(name)}, with {{--model}} if the bodies name no model;"
        " nothing is lost but other keys beside `body`"
    )


def _results(_: str) -> str:
    return "run the file that was sent; `batcher dlq retry` sends dead letters of a job again"


def _lfs_pointer(name: str) -> str:
    if name == STDIN:
        return "`git lfs pull` gets the file itself"
    return f"`git lfs pull --include {literal(shlex.quote(name.removeprefix('./')))}` gets the file itself"


def _conflict(_: str) -> str:
    return "choose one side of each conflict in an editor, and remove the lines with <<<<<<<, ======= and >>>>>>>"


def _array(name: str) -> str:
    return f"`{with_jq(chr(39) + '.[]' + chr(39), name)}` puts each item on a line of its own; then {run_it(name)}"


def _commas(name: str) -> str:
    program = "sed -E 's/^[[:space:]]*[[,]?[[:space:]]*//; s/[[:space:]]*[],]+[[:space:]]*$//'"
    source = "" if name == STDIN else f" {shlex.quote(name)}"
    command = literal(f"{program}{source} > {shlex.quote(lines_file(name))}")
    return f"`{command}` removes the commas; then {run_it(name)}"


def _wrapped(name: str) -> str:
    return (
        f"`{with_jq(chr(39) + '.requests[]' + chr(39), name)}` puts each request on a line; then check that file"
    )


def _pretty(name: str) -> str:
    return f"`{with_jq('.', name)}` puts each request on a line of its own; then {run_it(name)}"


def _encoded(form: Form) -> Callable[[str], str]:
    def advice(name: str) -> str:
        source = "" if name == STDIN else f" {shlex.quote(name)}"
        program = f"iconv -f {ENCODINGS[form]} -t UTF-8{source} > {shlex.quote(lines_file(name))}"
        return f"`{literal(program)}` makes it UTF-8; in PowerShell write it with `Out-File -Encoding utf8`"

    return advice


def _zip(name: str) -> str:
    return f"`unzip {literal(shlex.quote(name))}` unpacks it; then run the file that it held"


def _spreadsheet(_: str) -> str:
    return "save the sheet as CSV, then `batcher check` of that file says how to make job lines of it"


def _parquet(name: str) -> str:
    return (
        f"write it as JSON Lines first, for example in Python: "
        f"`pandas.read_parquet({literal(repr(name))})"
        f".to_json({literal(repr(lines_file(name)))}, orient='records', lines=True)`"
    )


def _compressed(_: str) -> str:
    return "unpack it first; only .gz and .zst are read as they are, packed once"


def _web_page(_: str) -> str:
    return "it was probably saved from a browser: download the raw file"


def _repeated_id(name: str) -> str:
    program = "'.custom_id += \"-\\(input_line_number)\"'"
    return f"`{with_jq(program, name)}` adds the line's number to each custom_id; then {run_it(name)}"


def _no_model(name: str) -> str:
    command = f"`batcher run {'-' if name == STDIN else shlex.quote(name)} --model MODEL`"
    return f"{literal(command)} adds the model to these lines; {{--no-body-checks}} sends them as they are"


_ADVICE: Final[Mapping[Form, Callable[[str], str]]] = {
    Form.GEMINI: _gemini,
    Form.ANTHROPIC: _anthropic,
    Form.BEDROCK: _bedrock,
    Form.BODY_ALONE: _body_alone,
    Form.RESULTS: _results,
    Form.LFS_POINTER: _lfs_pointer,
    Form.CONFLICT: _conflict,
    Form.ARRAY: _array,
    Form.WRAPPED: _wrapped,
    Form.PRETTY: _pretty,
    Form.COMMAS: _commas,
    Form.CONCATENATED: _pretty,
    Form.UTF_16: _encoded(Form.UTF_16),
    Form.UTF_32: _encoded(Form.UTF_32),
    Form.ZIP: _zip,
    Form.SPREADSHEET: _spreadsheet,
    Form.PARQUET: _parquet,
    Form.COMPRESSED: _compressed,
    Form.WEB_PAGE: _web_page,
    Form.REPEATED_ID: _repeated_id,
    Form.NO_MODEL: _no_model,
    Form.BODY_CHECK: lambda _: "correct the bodies, or send them as they are with {--no-body-checks}",
}


def _text_key(keys: Sequence[str]) -> str | None:
    """Return the key that most likely holds the text to send; None if no name suggests it."""
    by_name = {key.strip().lower(): key for key in reversed(keys)}
    exact = next((by_name[name] for name in _TEXTS if name in by_name), None)
    return exact or next((key for key in keys if any(name in key.lower() for name in _TEXTS)), None)


def _of_data(name: str, keys: Sequence[str]) -> str:
    key = _text_key(keys)
    if key is None:
        return literal('make a request of each row, such as {"messages": [{"role": "user", "content": "…"}]}')
    if {"instruction", "input"} <= set(keys):
        sent, content = "`instruction` and `input`", '[.instruction, .input | strings] | join("\\n\\n")'
    else:
        path = f".{key}" if _PLAIN_KEY.fullmatch(key) else f".[{json.dumps(key)}]"
        sent, content = f"`{key}`", f"{path} | tostring"
    request = f'{{messages: [{{role: "user", content: ({content})}}]}}'
    program = shlex.quote(f"if .messages or .body then . else {request} end")
    return (
        f"a row needs `messages`: `{with_jq(program, name)}` sends {literal(sent)} as the question, without"
        f" the other keys; then {run_it(name, '--model', 'MODEL')}"
    )


def _of_table(name: str, columns: Sequence[str], delimiter: str) -> str:
    column = _text_key(columns) or next(iter(columns), "")
    unpack = next((command for ending, command in _UNPACK.items() if name.lower().endswith(ending)), None)
    by_pipe = name == STDIN or unpack is not None
    source = "sys.stdin" if by_pipe else f'open({json.dumps(name)}, encoding="utf-8-sig", newline="")'
    separated = "" if delimiter == "," else f", delimiter={json.dumps(delimiter)}"
    program = shlex.quote(
        f'import csv, json, sys; [print(json.dumps({{"messages": [{{"role": "user", "content":'
        f" row[{json.dumps(column)}]}}]}})) for row in csv.DictReader({source}{separated})]"
    )
    before = f"{unpack} {shlex.quote(name)} | " if unpack is not None else ""
    command = f"{before}python3 -c {program} > {shlex.quote(lines_file(name))}"
    return (
        f"each row must become a request on a line: `{literal(command)}` sends the column `{literal(column)}` as"
        f" the question, without the other columns; then {run_it(name, '--model', 'MODEL')}"
    )


def _form(parameters: Parameters) -> str:
    form, name = Form(str(parameters["form"])), str(parameters["name"])
    keys = [str(key) for key in _several(parameters["keys"])]
    if form is Form.DATA_ROWS:
        return _of_data(name, keys)
    if form is Form.CSV:
        return _of_table(name, keys, str(parameters["delimiter"]))
    if form is Form.NO_PATH:
        return f"name the endpoint of these lines with {{--url:{keys[0]}}}"
    return _ADVICE[form](name)


def _several(value: Parameter) -> Sequence[object]:
    return value if isinstance(value, tuple) else ()


TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.OF_FORM: _form,
    Cause.LINES: "{lines}",
    Cause.PLACEHOLDER_MODEL: (
        "{lines} the model {model}, which looks like a placeholder: {--model} puts a name in its place"
    ),
    Cause.FIX_LINES: "fix the lines: there is no valid one to run",
    Cause.FIX_LINES_OR: "fix the lines, or {skip}",
    Cause.SKIP_INVALID: "run the valid ones with {--skip-invalid}",
    Cause.RUN_SKIPPING: "skip them with `batcher run {file:shell} --skip-invalid`",
}
