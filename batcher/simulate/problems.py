"""Error replies in OpenAI's wording: a status and a body of four keys."""

from collections.abc import Mapping
from math import ceil

import msgspec
from msgspec import Struct, field

from batcher.simulate.buckets import Rejected, go_duration

_UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
_MASK_FROM = 12


class Problem(Struct, frozen=True, kw_only=True):
    """An error reply before it is encoded. `kind` is the `type` in the body."""

    status: int
    kind: str | None
    code: str | None
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def encode(problem: Problem) -> bytes:
    """Return the reply's body."""
    error = {"message": problem.message, "type": problem.kind, "param": problem.param, "code": problem.code}
    return msgspec.json.encode({"error": error})


def bad_request(message: str, *, code: str | None = None, param: str | None = None) -> Problem:
    """Return a 400 for an invalid body."""
    return Problem(status=400, kind="invalid_request_error", code=code, message=message, param=param)


def unknown_path(method: str, path: str) -> Problem:
    """Return a 404 for an unknown path."""
    message = f"Invalid URL ({method} {path})"
    return Problem(status=404, kind="invalid_request_error", code=None, message=message)


def wrong_method(method: str, path: str, allowed: str) -> Problem:
    """Return a 405 that names the allowed method."""
    return Problem(
        status=405,
        kind="invalid_request_error",
        code="method_not_supported",
        message=f"Not allowed to {method} on {path} (HINT: Perhaps you meant to use {allowed} instead?)",
        headers={"allow": allowed},
    )


def too_large(limit: int) -> Problem:
    """Return a 413 for a body above the server's maximum."""
    message = f"The request body is larger than {limit} bytes."
    return Problem(status=413, kind="invalid_request_error", code="request_too_large", message=message)


def unknown_model(model: str) -> Problem:
    """Return a 404 for a model that is not served."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Problem(
        status=404, kind="invalid_request_error", code="model_not_found", message=message, param="model"
    )


def bad_key(given: str | None) -> Problem:
    """Return a 401; like OpenAI's, it repeats a part of the given key."""
    if given is None:
        message = "You didn't provide an API key. Provide it in an Authorization header using Bearer auth."
    else:
        message = (
            f"Incorrect API key provided: {_masked(given)}. You can find your API key at the provider's site."
        )
    return Problem(status=401, kind="invalid_request_error", code="invalid_api_key", message=message)


def rate_limited(model: str, rejected: Rejected, *, with_retry_after: bool) -> Problem:
    """Return the 429 of a limit. `with_retry_after`: give the wait in the message and in headers."""
    unit = _UNITS[rejected.dimension]
    where = f"for {model} in organization org-simulated on {unit}"
    limit, requested = f"{rejected.limit:.0f}", f"{ceil(rejected.requested)}"
    if rejected.retry_after_s is None:
        message = (
            f"Request too large {where}: Limit {limit}, Requested {requested}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
        return _limit_problem(rejected, message, {})
    used = f"{ceil(rejected.used)}"
    message = f"Rate limit reached {where}: Limit {limit}, Used {used}, Requested {requested}."
    if not with_retry_after:
        return _limit_problem(rejected, message, {})
    message += f" Please try again in {go_duration(rejected.retry_after_s)}."
    return _limit_problem(rejected, message, retry_headers(rejected.retry_after_s))


def retry_headers(seconds: float) -> dict[str, str]:
    """Return `retry-after` (whole seconds) and `retry-after-ms`, rounded up so that no retry is early."""
    return {"retry-after": str(ceil(seconds)), "retry-after-ms": str(ceil(round(seconds * 1000, 6)))}


def _limit_problem(rejected: Rejected, message: str, headers: dict[str, str]) -> Problem:
    return Problem(
        status=429, kind=rejected.dimension, code="rate_limit_exceeded", message=message, headers=headers
    )


def _masked(key: str) -> str:
    return key if len(key) < _MASK_FROM else f"{key[:4]}{'*' * (len(key) - 8)}{key[-4:]}"
