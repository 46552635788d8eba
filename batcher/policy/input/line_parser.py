"""Parses one line of a job file into a request, or into a refusal that says how to fix the line.

A line with `body` is an OpenAI batch line; any other is a bare body, which may have a `custom_id` as well. The
body keeps the file's own bytes. A repeated key of the envelope is refused; within a body the last one is checked,
which is also the one that JSON readers use.
"""

import re
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from batcher.domain.requests import BadLine, ParsedLine
from batcher.policy.api_paths import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, normal_path, path_reason
from batcher.policy.input.body_edit import Edit, edited
from batcher.policy.input.body_validation import MODEL_MISSING, body_reason, needs_model, unbatchable_reason
from batcher.policy.input.deduplication import samples_at_random
from batcher.policy.input.fast_line_parser import MAX_CUSTOM_ID, plain_line
from batcher.policy.input.foreign_forms import (
    REASONS,
    Form,
    form_of_list,
    form_of_object,
    form_of_text,
    shown_keys,
)
from batcher.policy.input.json_spans import Member, lone_member, members, without_member
from batcher.policy.input.row_notes import is_placeholder, notes_beside, notes_on
from batcher.policy.input.strict_json import TOO_LONG, InvalidJson, read_strictly
from batcher.policy.tokens.estimate import estimate

#: How many characters of a refused line are kept.
KEPT_TEXT: Final = 2_000

#: How many keys of a data row are kept.
_KEPT_KEYS: Final = 50
_SPACES: Final = b" \t\r\n"
_ENVELOPE_KEYS: Final = ("custom_id", "method", "url", "body")
_QUOTED_KEYS: Final = tuple(b'"%b"' % key.encode() for key in _ENVELOPE_KEYS)
#: Escapes that spell a letter or `_`: only with them can a key look different from what it means.
_SPELLED_KEY: Final = re.compile(rb"\\u00(?:5[fF]|6|7)")
_CUSTOM_ID: Final = re.compile(rb'"custom_id"\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_BODY_OBJECT: Final = "`body` must be an object, the request as the endpoint takes it"


class _BodyBytes(Struct):
    body: Raw


_read_body: Final = msgspec.json.Decoder(_BodyBytes).decode


class LineRules(Struct, frozen=True, kw_only=True):
    """How the bodies of a file are checked."""

    #: The model of bodies that name none, or a placeholder.
    model: str | None = None
    #: Whether bodies are checked as the known endpoints would.
    check_bodies: bool = True
    #: Whether the base URL is OpenAI's, which accepts less than compatible servers.
    openai: bool = True


_DEFAULT: Final = LineRules()


class _RefusedForm(InvalidJson):
    """The line is refused, and there is advice for its kind."""

    def __init__(self, form: Form, reason: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.form = form
        self.keys = keys


def parse_line(
    raw: bytes, *, line: int, default_path: str | None, rules: LineRules = _DEFAULT
) -> ParsedLine | BadLine:
    """Parse one line, given without its end. `line` is its number.

    `default_path`: the endpoint of bodies that name none.
    """
    plain = plain_line(raw, line=line)
    if plain is not None and (rules.model is None or not is_placeholder(plain.model)):
        return plain
    return _parse_closely(raw, line, default_path, rules)


def _parse_closely(raw: bytes, line: int, default_path: str | None, rules: LineRules) -> ParsedLine | BadLine:
    try:
        document = read_strictly(raw)
    except InvalidJson as refused:
        form = form_of_text(raw)
        reason = refused.reason if form is None else REASONS.get(form, refused.reason)
        return refuse(raw, line=line, reason=reason, custom_id=_shown_custom_id(raw), form=form)
    try:
        return _request(raw, document, line, default_path, rules)
    except InvalidJson as refused:
        custom_id = _usable(document.get("custom_id") if isinstance(document, dict) else None)
        bad = refuse(raw, line=line, reason=refused.reason, custom_id=custom_id)
        return replace(bad, form=refused.form, keys=refused.keys) if isinstance(refused, _RefusedForm) else bad


def parse_body(
    body: bytes, *, line: int, custom_id: str, path: str, rules: LineRules = _DEFAULT
) -> ParsedLine | BadLine:
    """Validate a body on its own, such as one that `dlq retry --set` has edited. `path` is already valid."""
    try:
        document, text = read_strictly(body), body.strip(_SPACES)
        return _checked(document, text, line=line, custom_id=custom_id, path=path, rules=rules)
    except InvalidJson as refused:
        return refuse(body, line=line, reason=refused.reason, custom_id=custom_id)


def refuse(raw: bytes, *, line: int, reason: str, custom_id: str | None, form: Form | None = None) -> BadLine:
    """Return a refusal with the part of the line that is kept."""
    # A character has at most four bytes.
    text = raw[: KEPT_TEXT * 4].decode("utf-8", "replace")[:KEPT_TEXT]
    return BadLine(line=line, reason=reason, text=text, custom_id=custom_id, form=form)


def refuse_too_long(head: bytes, *, line: int) -> BadLine:
    """Return the refusal of a line longer than 64 MiB, at which the reader stops; `head` is its beginning."""
    return refuse(head, line=line, reason=TOO_LONG, custom_id=_shown_custom_id(head))


def _request(raw: bytes, document: object, line: int, default_path: str | None, rules: LineRules) -> ParsedLine:
    if isinstance(document, list) and any(isinstance(each, dict) for each in document):
        form = form_of_list(document)
        raise _RefusedForm(form, REASONS[form])
    if not isinstance(document, dict):
        raise InvalidJson("not a JSON object; a line is one request, in braces")
    if "body" in document:
        return _batch_line(raw, document, line, rules)
    return _bare_body(raw, document, line, default_path, rules)


def _batch_line(raw: bytes, document: dict[str, object], line: int, rules: LineRules) -> ParsedLine:
    # Each of the four keys occurs at least once; only if there are more can a key be repeated.
    if sum(map(raw.count, _QUOTED_KEYS)) > len(_QUOTED_KEYS) or _SPELLED_KEY.search(raw):
        _refuse_repeated(raw)
    method, url = document.get("method"), document.get("url")
    if method is None and url is None and isinstance(document["body"], dict):
        raise _RefusedForm(Form.BODY_ALONE, REASONS[Form.BODY_ALONE])
    custom_id = _custom_id(document)
    if custom_id is None:
        raise InvalidJson("`custom_id` is missing; give each line its own")
    if method != "POST":
        raise InvalidJson(
            '`method` is missing; add "method": "POST"' if method is None else '`method` must be "POST"'
        )
    if url is None:
        raise InvalidJson('`url` is missing; add the endpoint, such as "url": "/v1/chat/completions"')
    path = _path(url, "`url`")
    body = bytes(_read_body(raw).body)
    parsed = _checked(document["body"], body, line=line, custom_id=custom_id, path=path, rules=rules)
    if len(document) == len(_ENVELOPE_KEYS):
        return parsed
    return replace(parsed, notes=parsed.notes + notes_beside(document))


def _bare_body(
    raw: bytes, document: dict[str, object], line: int, default_path: str | None, rules: LineRules
) -> ParsedLine:
    if document.get("method") is not None and document.get("url") is not None:
        raise InvalidJson("`body` is missing; a batch line has `custom_id`, `method`, `url` and `body`")
    custom_id = _custom_id(document)
    path = _bare_path(document, default_path)
    body = raw.strip(_SPACES)
    if "custom_id" in document:
        body = without_member(body, _custom_id_member(body))
    custom_id = custom_id or f"line-{line}"
    return _checked(document, body, line=line, custom_id=custom_id, path=path, rules=rules)


def _checked(
    document: object, body: bytes, *, line: int, custom_id: str, path: str, rules: LineRules
) -> ParsedLine:
    if not isinstance(document, dict):
        raise InvalidJson(_BODY_OBJECT)
    model = document.get("model")
    if rules.model is not None and (is_placeholder(model) or (model is None and needs_model(path, document))):
        body = edited(body, [Edit(path=("model",), value=msgspec.json.encode(rules.model))])
        document, model = {**document, "model": rules.model}, rules.model
    _refuse_body(path, document, rules)
    tokens = estimate(path, document, len(body))
    return ParsedLine(
        line=line,
        custom_id=custom_id,
        path=path,
        model=model if isinstance(model, str) else "",
        body=body,
        est_input=tokens.input_tokens,
        est_output=tokens.output_tokens,
        deterministic=not samples_at_random(path, document),
        notes=notes_on(path, document),
    )


def _refuse_body(path: str, body: dict[str, object], rules: LineRules) -> None:
    """Raise InvalidJson if no batch can run the body, or if its endpoint would refuse it."""
    reason = unbatchable_reason(body)
    if reason is not None:
        raise InvalidJson(reason)
    reason = body_reason(path, body, openai=rules.openai) if rules.check_bodies else None
    if reason is not None:
        raise _RefusedForm(Form.NO_MODEL if reason == MODEL_MISSING else Form.BODY_CHECK, reason)


def _custom_id(document: dict[str, object]) -> str | None:
    """Return the line's custom_id, or None if it has none."""
    custom_id = document.get("custom_id")
    if custom_id is None:
        return None
    if not isinstance(custom_id, str):
        raise InvalidJson("`custom_id` must be a string; put it in quotes")
    if not custom_id:
        raise InvalidJson("`custom_id` is empty; give each line its own")
    if len(custom_id) > MAX_CUSTOM_ID:
        raise InvalidJson(f"`custom_id` has {len(custom_id)} characters; at most {MAX_CUSTOM_ID} are allowed")
    return custom_id


def _bare_path(document: dict[str, object], default_path: str | None) -> str:
    if document.get("messages") is not None:
        return CHAT
    form = form_of_object(document)
    if form is not None:
        raise _RefusedForm(form, REASONS[form])
    if default_path is not None:
        return _path(default_path, "the endpoint of bodies that name none")
    if "model" in document:
        reason = "no endpoint: the line has neither `body` nor `messages`"
        raise _RefusedForm(Form.NO_PATH, reason, (_likely_path(document),))
    if not document:
        raise InvalidJson("no endpoint: the object is empty")
    reason = f"no endpoint: a row of data, with neither `body` nor `messages` (keys: {shown_keys(document)})"
    raise _RefusedForm(Form.DATA_ROWS, reason, tuple(document)[:_KEPT_KEYS])


def _likely_path(document: dict[str, object]) -> str:
    """Return the endpoint that a body without `messages` is most likely for."""
    if document.get("prompt") is not None:
        return COMPLETIONS
    if any(document.get(name) is not None for name in ("instructions", "max_output_tokens", "reasoning")):
        return RESPONSES
    return EMBEDDINGS


def _path(url: object, where: str) -> str:
    path = normal_path(url) if isinstance(url, str) else None
    if path is None:
        raise InvalidJson(f"{where} {path_reason(url)}")
    return path


def _refuse_repeated(raw: bytes) -> None:
    """Refuse an envelope in which a key occurs twice: readers differ in which one they use."""
    keys = [member.key for member in members(raw)]
    for key in _ENVELOPE_KEYS:
        if keys.count(key) > 1:
            raise InvalidJson(f"`{key}` occurs twice in the line; keep one")


def _custom_id_member(body: bytes) -> Member:
    """Return where `custom_id` is. It is found by its text; a scan is made only if that could be another's."""
    quoted = b'"custom_id"'
    at = body.find(quoted)
    if at == body.rfind(quoted) and not _SPELLED_KEY.search(body):
        return lone_member(body, "custom_id", at)
    found = [member for member in members(body) if member.key == "custom_id"]
    if len(found) > 1:
        raise InvalidJson("`custom_id` occurs twice in the line; keep one")
    return found[0]


def _shown_custom_id(raw: bytes) -> str | None:
    """Return the custom_id of a line that is not JSON, or was not read whole: the first one in its text."""
    found = _CUSTOM_ID.search(raw)
    try:
        return None if found is None else _usable(msgspec.json.decode(found[1], type=str))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _usable(custom_id: object) -> str | None:
    return custom_id if isinstance(custom_id, str) and 0 < len(custom_id) <= MAX_CUSTOM_ID else None
