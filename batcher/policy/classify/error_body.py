"""Every shape of an error body that providers send, in one form (docs/providers.md#error-bodies)."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from batcher.domain.exchange import Reply
from batcher.policy.lenient_json import NOT_JSON, position_of_bad_utf8, read_json

#: The statuses of an answer.
SUCCESS: Final = range(200, 300)
_MOST_OF_A_NAME: Final = 100
_MOST_OF_A_MESSAGE: Final = 2_000
_MOST_OF_A_PAGE: Final = 4_096
_MOST_PARTS: Final = 10
#: Characters before the error body of another server that a message quotes.
_MOST_BEFORE_A_QUOTATION: Final = 120
_REPEATS_THE_REQUEST: Final = frozenset({400, 422})
_DEEPEST_MESSAGE: Final = 4
_TITLE: Final = re.compile(r"<title[^>]*>\s*([^<]*?)\s*</title>", re.IGNORECASE)
#: Messages beside an answer that is empty for another reason.
_SAYS_NOTHING: Final = frozenset({"", "ok", "success", "succeeded"})
_NOTHING: Final[Mapping[str, object]] = {}
#: Apigee; AWS; problem documents of RFC 9457 (`title`), after all others.
_RARE_MESSAGES: Final = ("error_description", "faultstring", "Message", "title")


class Evidence(Struct, frozen=True, kw_only=True):
    """One reply, normalized. Texts are "" if the provider said nothing; names keep the provider's spelling."""

    #: The HTTP status; if a 200 carries an error, the status that the error stands for.
    status: int
    #: `error.code`; integers as text (vLLM, OpenRouter: they repeat the status).
    code: str
    #: `error.type`, Google's `error.status`, or OpenRouter's `metadata.error_type`.
    type: str
    message: str
    #: The parameter at fault (OpenAI).
    param: str
    #: Anthropic's `error.details.error_code`.
    error_code: str
    #: Google's `error.details[]`.
    details: tuple[Mapping[str, object], ...]
    #: OpenRouter's `error.metadata`.
    metadata: Mapping[str, object]
    #: Whether it is a page for people (a proxy, a login, a wrong address) instead of an API's answer.
    is_html: bool
    #: In lower case, without parameters.
    content_type: str
    #: The whole body as JSON, or NOT_JSON.
    document: object
    headers: Mapping[str, str]
    #: Where the first byte that is not UTF-8 stands in a 2xx that is whole otherwise; None: in no such place.
    bad_utf8_at: int | None = None


def read_evidence(reply: Reply) -> Evidence:
    """Normalize a reply. Never raises, whatever the body is."""
    return evidence_from(reply, read_json(reply.body))


def evidence_from(reply: Reply, document: object) -> Evidence:
    """Normalize a reply whose body has already been parsed."""
    if document is NOT_JSON and reply.status not in SUCCESS:
        # In another charset, such as Latin-1 or GBK, the code is read all the same, and most of the message.
        document = read_json(reply.body.decode("utf-8", "replace").encode())
    root = _mapping(unwrapped(document))
    error = _with_quoted(_error_node(root), root, status=reply.status)
    metadata = _mapping(error.get("metadata"))
    details = error.get("details")
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_html = document is NOT_JSON and ("html" in content_type or reply.body.lstrip()[:1] == b"<")
    return Evidence(
        status=reply.status,
        code=_code(error) or _code(root),
        type=_type(error) or _google_status(error) or _name(metadata.get("error_type")),
        message=_message(error, root)[:_MOST_OF_A_MESSAGE]
        or _plain_text(reply.body, document=document, is_html=is_html),
        param=_name(error.get("param")),
        error_code=_name(_mapping(details).get("error_code")),
        details=tuple(_mapping(detail) for detail in details) if isinstance(details, list) else (),
        metadata=metadata,
        is_html=is_html,
        content_type=content_type,
        document=document,
        headers=reply.headers,
        bad_utf8_at=position_of_bad_utf8(reply.body) if document is NOT_JSON else None,
    )


def unwrapped(value: object) -> object:
    """Unwrap a list of one: Gemini's OpenAI-compatible endpoint wraps its error in one."""
    return value[0] if isinstance(value, list) and value else value


#: Few answers have one of these fields. Without them only `object` and `type` can say that it is an error.
_SIGNS_OF_ERROR: Final = frozenset({"error", "success", "base_resp"})


def says_error(document: Mapping[str, object]) -> bool:
    """Return whether a document is an error: `error`, MiniMax's `base_resp`, or `success: false`.

    An error object in which nothing is said is none.
    """
    if document.get("object") == "error" or document.get("type") == "error":
        return True
    if _SIGNS_OF_ERROR.isdisjoint(document):
        return False
    if document.get("success") is False or _mapping(document.get("base_resp")).get("status_code"):
        return True
    error = unwrapped(document.get("error"))
    return any(error.values()) if isinstance(error, dict) else bool(error)


def error_beside_no_answer(document: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the error in a document that holds no answer, as an error body; None if nothing is said.

    OpenRouter puts it into the choice. Others send it without a wrapper: `{code, message}` (DashScope),
    `{"detail": …}` (FastAPI). In a document that holds an answer such fields can mean anything.
    """
    choice = _mapping(unwrapped(document.get("choices")))
    if choice.get("error"):
        return {"error": choice["error"]}
    is_said = _message(document, document).lower() not in _SAYS_NOTHING
    return {**document, "object": "error"} if is_said else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING


def _error_node(root: Mapping[str, object]) -> Mapping[str, object]:
    """Return the mapping with code, type and message: `error`, or the document itself (Mistral, FastAPI, APIM).

    An `error` that is a text is a message, or a name if the message stands beside it (OAuth).
    """
    error = unwrapped(root.get("error") or root.get("errors") or root.get("base_resp") or root.get("fault"))
    if isinstance(error, str):
        description = root.get("error_description")
        return {"type": error, "message": description} if description else {"message": error}
    return error if isinstance(error, dict) else root


def _with_quoted(error: Mapping[str, object], root: Mapping[str, object], *, status: int) -> Mapping[str, object]:
    """Return an error with what it quotes: gateways write the provider's whole error body into the message.

    The gateway's own code comes first if it is more than a number. At 400 and 422 the message must be the
    quotation alone, because such a message may repeat a part of the request.
    """
    text = _message(error, root)
    start = text.find("{", 0, _MOST_BEFORE_A_QUOTATION)
    if start < 0 or (status in _REPEATS_THE_REQUEST and text[:start].strip() not in {"", "["}):
        return error
    quoted = unwrapped(read_json(text[start : text.rfind("}") + 1].encode()))
    inner = unwrapped(_mapping(quoted).get("error"))
    if not isinstance(inner, dict) or not _message(inner, inner):
        return error
    said = {name: value for name, value in error.items() if value and not (name == "code" and _is_number(value))}
    before = text[:start].strip().strip("[").strip()
    return {**inner, **said, "message": f"{before} {_message(inner, inner)}".strip()}


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())


def _name(value: object) -> str:
    """Return a name; LiteLLM writes Python's None as a text."""
    if isinstance(value, str):
        return "" if value == "None" else value.strip()[:_MOST_OF_A_NAME]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value)[:_MOST_OF_A_NAME] if is_number else ""


def _code(node: Mapping[str, object]) -> str:
    minimax = _name(node.get("status_code"))
    names = ("code", "statusCode", "error_code", "errorCode")
    apigee = _name(_mapping(node.get("detail")).get("errorcode"))
    found = next(filter(None, (_name(node.get(name)) for name in names)), apigee)
    return found or (f"minimax_{minimax}" if minimax else "")


def _type(error: Mapping[str, object]) -> str:
    """Return the type; in a problem document (RFC 9457) it is a URI, which says less than the error's name."""
    name = _name(error.get("type"))
    is_uri = name.startswith(("http:", "https:", "about:", "urn:"))
    return (_name(error.get("error_name")) if is_uri else name) or _aws_type(error)


def _aws_type(error: Mapping[str, object]) -> str:
    """Return AWS's `__type`, such as `com.amazon.coral#ThrottlingException`, without its namespace."""
    return _name(error.get("__type")).rpartition("#")[2]


def _google_status(error: Mapping[str, object]) -> str:
    """Return a Google status such as `RESOURCE_EXHAUSTED`: upper case, which other providers' `status` is not."""
    status = _name(error.get("status"))
    return status if status.isupper() else ""


def _message(error: Mapping[str, object], root: Mapping[str, object]) -> str:
    names = (
        "message",
        "detail",
        "status_msg",
        "msg",
        "error_msg",
        "error_message",
        "errorMessage",
        *_RARE_MESSAGES,
    )
    said = (node.get(name) for name in names for node in (error, root))
    return next((text for text in map(_text, said) if text), "")


def _text(value: object, depth: int = 0) -> str:
    """Return a message as text: a string, FastAPI's list of `{loc, msg}`, or an object around either."""
    if isinstance(value, str):
        return value.strip()
    if depth >= _DEEPEST_MESSAGE:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(part, depth + 1) for part in value[:_MOST_PARTS])))
    part = _mapping(value)
    text = _text(part.get("msg") or part.get("message") or part.get("detail") or "", depth + 1)
    place = _place(part.get("loc"))
    return f"{place}: {text}" if place and text else text


def _place(loc: object) -> str:
    return ".".join(filter(None, map(_name, loc[:_MOST_PARTS]))) if isinstance(loc, list) else ""


def _plain_text(body: bytes, *, document: object, is_html: bool) -> str:
    """Return a text if no message was found: a page's title, or the beginning of a text that is not JSON."""
    if document is not NOT_JSON:
        return ""
    page = body[:_MOST_OF_A_PAGE].decode("utf-8", "replace")
    if not is_html:
        return " ".join(page.split())[:200]
    title = _TITLE.search(page)
    return f"an HTML page: {title[1]}" if title and title[1] else "an HTML page"
