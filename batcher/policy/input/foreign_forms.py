"""Recognize what a line is if it is no request: another provider's form, results, data, parts of other files.

`form_advice` has what to do about each form.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

_Document = Mapping[str, object]


class Form(StrEnum):
    """The kinds of invalid lines that have advice of their own."""

    GEMINI = "gemini"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"
    BODY_ALONE = "body_without_url"
    RESULTS = "results"
    DATA_ROWS = "data_rows"
    LFS_POINTER = "git_lfs_pointer"
    CONFLICT = "merge_conflict"
    ARRAY = "json_array"
    PRETTY = "pretty_printed"
    CONCATENATED = "concatenated"
    COMMAS = "commas_between_lines"
    WRAPPED = "list_of_requests"
    CSV = "csv"
    UTF_16 = "utf16"
    UTF_32 = "utf32"
    ZIP = "zip"
    SPREADSHEET = "spreadsheet"
    PARQUET = "parquet"
    COMPRESSED = "compressed"
    WEB_PAGE = "web_page"
    #: Not another form: requests that lack something which an option or a command adds.
    NO_MODEL = "no_model"
    NO_PATH = "no_path"
    REPEATED_ID = "repeated_custom_id"
    BODY_CHECK = "body_check"


#: What only a provider's reply has, beside an id.
_REPLY_KEYS: Final = frozenset({"body", "status_code", "candidates", "choices", "usageMetadata", "promptFeedback"})
_SHOWN_KEYS, _SHOWN_KEY_LENGTH = 8, 30
_CONFLICT: Final = re.compile(rb"(?:<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)(?: .*)?|=======")
_LFS: Final = re.compile(rb"version https://git-lfs\.github\.com/spec/\S+|oid sha256:[0-9a-f]{64}|size [0-9]+")
_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'
#: A line of a pretty-printed document: brackets, or a member or an item with its comma.
_FRAGMENT: Final = re.compile(
    rb"[\[\]{}]+,?|%b[ \t]*:.*|(?:%b|-?[0-9][0-9.eE+-]*|true|false|null),?" % (_TEXT, _TEXT), re.DOTALL
)
#: Longer lines are no parts of a pretty-printed document that anyone reads.
_MOST_FRAGMENT: Final = 100_000
_scan: Final = json.JSONDecoder().raw_decode


def form_of_object(document: _Document) -> Form | None:
    """Return what a line without `body` and `messages` is, if it is clearly something else than a request."""
    if _is_result(document):
        return Form.RESULTS
    params, request = document.get("params"), document.get("request")
    if isinstance(params, dict) and ("messages" in params or "custom_id" in document):
        return Form.ANTHROPIC
    if isinstance(document.get("contents"), list):
        return Form.GEMINI
    if isinstance(request, dict) and ("contents" in request or "content" in request):
        return Form.GEMINI
    if _is_list_of_objects(document.get("requests")):
        return Form.WRAPPED
    return Form.BEDROCK if "modelInput" in document else None


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _is_result(document: _Document) -> bool:
    response, result = document.get("response"), document.get("result")
    if isinstance(response, dict) and not _REPLY_KEYS.isdisjoint(response):
        return True
    if isinstance(result, dict) and "type" in result and "custom_id" in document:
        return True
    if "error" in document and ("response" in document or ("key" in document and "request" not in document)):
        return True
    if "modelOutput" in document or ("recordId" in document and "error" in document):
        return True
    return any(isinstance(document.get(name), list) for name in ("choices", "candidates"))


def form_of_list(items: list[object]) -> Form:
    """Return what a line that holds a list is: request and reply, as OpenAI's script writes them, or an array."""
    if len(items) > 1 and isinstance(items[0], dict) and "custom_id" not in items[0]:
        reply = items[1]
        replied = isinstance(reply, dict) and ("choices" in reply or reply.get("object") == "list")
        if replied or (isinstance(reply, list) and all(isinstance(each, str) for each in reply)):
            return Form.RESULTS
    return Form.ARRAY


def form_of_text(raw: bytes) -> Form | None:
    """Return what a line that is no JSON belongs to, if it is clear."""
    text = raw.strip()
    if _CONFLICT.fullmatch(text):
        return Form.CONFLICT
    if _LFS.fullmatch(text):
        return Form.LFS_POINTER
    if text.startswith(b"{"):
        joined = _joined(text)
        if joined is not None:
            return joined
    if len(text) < _MOST_FRAGMENT and _FRAGMENT.fullmatch(text):
        return Form.PRETTY
    return None


def _joined(text: bytes) -> Form | None:
    """Return what a line is that holds a whole object and something after it."""
    try:
        decoded = text.decode()
        _, end = _scan(decoded)
    except (ValueError, RecursionError):
        return None
    rest = decoded[end:].strip()
    if rest.startswith("{"):
        return Form.CONCATENATED
    return Form.COMMAS if rest in {",", "]", "],"} else None


def shown_keys(document: _Document) -> str:
    """Return the first keys of an object, for a message."""
    keys = [key if len(key) <= _SHOWN_KEY_LENGTH else f"{key[:_SHOWN_KEY_LENGTH]}…" for key in document]
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return ", ".join(keys[:_SHOWN_KEYS]) + more


REASONS: Final[Mapping[Form, str]] = {
    Form.GEMINI: "a line of Gemini's batches, with `contents` in place of `messages`",
    Form.ANTHROPIC: "a line of Anthropic's batches, with `params` in place of `body`",
    Form.BEDROCK: "a line of Bedrock's batches, with `modelInput` in place of `body`",
    Form.BODY_ALONE: "a batch line without `method` and `url`, as Mistral's and Fireworks' are",
    Form.RESULTS: "a line of results, not a request; name the file that was sent",
    Form.LFS_POINTER: "a Git LFS pointer, not the file itself",
    Form.CONFLICT: "a conflict marker of Git: the file holds two versions of some lines",
    Form.ARRAY: "a JSON array, not a JSON object; a line is one request, in braces",
    Form.WRAPPED: "a list of requests in one object; a line is one request",
    Form.COMMAS: "something follows the request, as in a JSON array; a line holds one request and nothing else",
    Form.CONCATENATED: "not JSON: two or more requests on one line; each needs a line of its own",
}
