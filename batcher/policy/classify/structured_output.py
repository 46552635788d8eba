"""Structured output: if a request asks for JSON, its answer is validated against what was requested.

It is requested by `response_format` (chat completions) or `text.format` (responses): `json_object`, or
`json_schema` with a schema. Refusals and tool calls are answers of another kind and pass.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from batcher.domain.outcomes import Failure, Success
from batcher.domain.states import FailureKind

CODE: Final = "invalid_output"
#: A request that asks for a format contains one of these; most do not, and cost only one search.
_MARKS: Final = (b'"response_format"', b'"format"')
_KEPT_MESSAGE: Final = 300


def check_output(success: Success, *, request: bytes, reply: bytes) -> Success | Failure:
    """Return the success, or a failure if the answer is not what the request asked for.

    A malformed answer may come out right on a retry; one that was cut at its token limit would be cut again.
    """
    if not any(mark in request for mark in _MARKS):
        return success
    schema = _asked(msgspec.json.decode(request))
    if schema is None:
        return success
    for content in _contents(msgspec.json.decode(reply)):
        flaw = _flaw(content, schema)
        if flaw is not None and success.truncated:
            flaw += "; the answer was cut at its token limit: allow more tokens"
        if flaw is not None:
            kind = FailureKind.PERMANENT if success.truncated else FailureKind.TRANSIENT
            return Failure(kind=kind, code=CODE, message=flaw, usage=success.usage)
    return success


def _asked(body: Any) -> bytes | None:  # noqa: ANN401 - a JSON document
    """Return the schema to validate against, as JSON; `true` if any JSON will do, None if none was asked."""
    if not isinstance(body, dict):
        return None
    text = body.get("text")
    form = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_object":
        return b'{"type":"object"}'
    if form.get("type") != "json_schema":
        return None
    named = form.get("json_schema")
    schema = (named if isinstance(named, dict) else form).get("schema")
    return msgspec.json.encode(schema) if isinstance(schema, dict) else b"true"


def _contents(reply: Any) -> Iterator[str]:  # noqa: ANN401 - a JSON document
    """Yield the texts that should be JSON: those of every choice, or the response's."""
    for choice in reply.get("choices") or ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and not _is_other(message) and isinstance(message.get("content"), str):
            yield message["content"]
    parts = [part for part in _output_parts(reply) if part.get("type") == "output_text"]
    if parts:
        yield "".join(str(part.get("text", "")) for part in parts)


def _is_other(message: Mapping[str, Any]) -> bool:
    return bool(message.get("refusal") or message.get("tool_calls") or message.get("function_call"))


def _output_parts(reply: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for item in reply.get("output") or ():
        if isinstance(item, dict) and item.get("type") == "message":
            yield from (part for part in item.get("content") or () if isinstance(part, dict))


def _flaw(content: str, schema: bytes) -> str | None:
    """Return what is wrong with the content, and where; None if nothing is."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        return f"the answer is not JSON: {error}"[:_KEPT_MESSAGE]
    validator = _validator(schema)
    if validator is None:
        return None
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - only if an answer is validated against a schema
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    try:
        worst = best_match(validator.iter_errors(document))
    except Unresolvable:
        return None
    if worst is None:
        return None
    return f"the answer does not fit the schema at {worst.json_path}: {worst.message}"[:_KEPT_MESSAGE]


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:  # noqa: ANN401 - jsonschema is imported here alone
    """Return a validator, cached per schema.

    None: the schema itself is unusable, although the provider accepted it.

    References are resolved only within the schema: nothing is fetched.
    """
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - costs 0.1 s; few jobs need it
    from referencing import Registry  # noqa: PLC0415

    document = msgspec.json.decode(schema)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError:
        return None
    return Draft202012Validator(document, registry=Registry())
