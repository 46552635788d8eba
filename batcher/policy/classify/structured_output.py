"""Structured output: if a request asks for JSON, its answer is validated against what was requested.

It is requested by `response_format` (chat completions) or `text.format` (responses): `json_object`, or
`json_schema` with a schema. Refusals and tool calls are answers of another kind and pass.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from batcher.domain.outcomes import Failure, Success
from batcher.domain.states import FailureKind
from batcher.policy.lenient_json import read_json

CODE: Final = "invalid_output"
_KEPT_MESSAGE: Final = 300
_MOST_ATTEMPTS: Final = 2
#: Numbers are compared as decimals: as floats, 19.99 is no multiple of 0.01.
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_DECIMAL: Final = re.compile(r"Decimal\('([^']*)'\)")
_FENCE: Final = re.compile(r"\s*```[a-zA-Z]*\s*\n(.*)\n\s*```\s*", re.DOTALL)


class UncheckableError(Exception):
    """An answer cannot be validated, although its provider accepted the request: `str` says why."""


def asks_for_json(request: bytes) -> bool:
    """Return whether the request may ask for a format. Most do not, and cost only this search."""
    return b'"response_format"' in request or b'"format"' in request


def check_output(success: Success, *, request: bytes, reply: bytes) -> Success | Failure:
    """Return the success, or a failure if the answer is not what the request asked for.

    Schemas and answers are written by others, so this may take unbounded time: see `batcher.validator`.
    """
    if not asks_for_json(request):
        return success
    try:
        return judge(success, flaw_in(reply, request=request))
    except UncheckableError:
        return unchecked(success)


def judge(success: Success, flaw: str | None) -> Success | Failure:
    """Return the outcome of an answer with this flaw.

    A malformed answer may come out right on a retry, but each is billed, so there is only one. An answer that was
    cut at its token limit would be cut again.
    """
    if flaw is None:
        return success
    if success.truncated:
        flaw += "; the answer was cut at its token limit: allow more tokens"
    kind = FailureKind.PERMANENT if success.truncated else FailureKind.TRANSIENT
    return Failure(kind=kind, code=CODE, message=flaw, usage=success.usage, most_attempts=_MOST_ATTEMPTS)


def unchecked(success: Success) -> Success:
    """Return the outcome of an answer that cannot be validated: it is delivered, and counted."""
    return replace(success, unchecked=True)


def not_validated(success: Success, *, request: bytes) -> Success:
    """Return the outcome of an answer in a job that validates nothing: a job that does must not reuse it."""
    if not asks_for_json(request) or requested_schema(request) is None:
        return success
    return replace(success, unvalidated=True)


def flaw_in(reply: bytes, *, request: bytes) -> str | None:
    """Return what is wrong with the answer, and where; None if nothing is, or if no format was requested.

    Raises UncheckableError if it cannot be validated.
    """
    try:
        schema = _asked(msgspec.json.decode(request))
        if schema is None:
            return None
        flaws = [_flaw(content, schema) for content in _contents(read_json(reply))]
        # With n > 1, one good choice makes an answer.
        return None if None in flaws else next(iter(flaws), None)
    except UncheckableError:
        raise
    except Exception as error:
        # A schema, an answer or a regular expression of others may make a library raise anything.
        raise UncheckableError(f"{type(error).__name__}: {error}"[:_KEPT_MESSAGE]) from error


def requested_schema(request: bytes) -> bytes | None:
    """Return the schema that a request asks for, as JSON; None if it asks for none, or cannot be read."""
    try:
        return _asked(msgspec.json.decode(request))
    except (ValueError, RecursionError):
        return None


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
        document = _decoded(_unfenced(content))
    except ValueError as error:
        return f"the answer is not JSON: {error}"[:_KEPT_MESSAGE]
    validator = _validator(schema)
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - only if an answer is validated against a schema

    worst = best_match(validator.iter_errors(document))
    if worst is None:
        return None
    message = _DECIMAL.sub(r"\1", worst.message)
    return f"the answer does not fit the schema at {worst.json_path}: {message}"[:_KEPT_MESSAGE]


def _decoded(content: str) -> Any:  # noqa: ANN401 - a JSON document
    """Decode strictly at first, then as leniently as Python does. Raises ValueError."""
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return json.loads(content, strict=False, parse_float=Decimal)


def _unfenced(content: str) -> str:
    """Return the content without a Markdown code fence around it, which many models write."""
    fenced = _FENCE.fullmatch(content)
    return fenced[1] if fenced else content


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:  # noqa: ANN401 - jsonschema is imported here alone
    """Return a validator, cached per schema. Raises UncheckableError if the schema itself is unusable.

    References are resolved only within the schema: nothing is fetched.
    """
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - costs 0.1 s; few jobs need it
    from jsonschema.validators import extend  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    document = _decode(schema)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        raise UncheckableError(f"the schema is invalid: {error.message}"[:_KEPT_MESSAGE]) from error
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    keywords = {name: _or_null(Draft202012Validator.VALIDATORS[name]) for name in ("type", "enum", "const")}
    validator = extend(Draft202012Validator, keywords, type_checker=types)  # type: ignore[no-untyped-call]
    return validator(document, registry=Registry())


def _or_null(keyword: Callable[..., Iterator[Any] | None]) -> Callable[..., Iterator[Any]]:
    """Let `"nullable": true` of OpenAPI's schemas, which JSON Schema does not know, allow null."""

    def check(validator: object, value: object, instance: object, schema: Mapping[str, Any]) -> Iterator[Any]:
        if instance is None and schema.get("nullable") is True:
            return
        yield from keyword(validator, value, instance, schema) or ()

    return check


def _is_integer(_checker: object, instance: object) -> bool:
    """Return whether a number is an integer; JSON Schema counts 1.0 as one."""
    if isinstance(instance, Decimal):
        return instance == instance.to_integral_value()
    return isinstance(instance, int) and not isinstance(instance, bool)
