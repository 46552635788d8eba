"""Errors that can be requested by status or by code, in OpenAI's wording (docs/providers.md#error-codes)."""

from msgspec import Struct


class KnownError(Struct, frozen=True, kw_only=True):
    """The contents of an error reply. `kind` is the `type` in the body."""

    status: int
    kind: str
    code: str | None = None
    message: str = "The request asked the simulated provider for this error."


_INVALID = "invalid_request_error"

REFUSED = KnownError(
    status=429,
    kind="requests",
    code="rate_limit_exceeded",
    message="Rate limit reached on requests per min (RPM).",
)
SERVER_FAULT = KnownError(
    status=500,
    kind="server_error",
    message="The server had an error while processing your request. Sorry about that!",
)

_CODED = (
    REFUSED,
    KnownError(
        status=400,
        kind=_INVALID,
        code="context_length_exceeded",
        message="This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 "
        "tokens. Please reduce the length of the messages.",
    ),
    KnownError(
        status=400,
        kind=_INVALID,
        code="content_policy_violation",
        message="Your request was rejected as a result of our safety system.",
    ),
    KnownError(
        status=400,
        kind=_INVALID,
        code="unsupported_parameter",
        message="Unsupported parameter: it is not supported with this model.",
    ),
    KnownError(status=401, kind=_INVALID, code="invalid_api_key", message="Incorrect API key provided."),
    KnownError(
        status=404,
        kind=_INVALID,
        code="model_not_found",
        message="The model does not exist or you do not have access to it.",
    ),
    KnownError(
        status=429,
        kind="insufficient_quota",
        code="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    ),
    KnownError(
        status=429,
        kind="rate_limit_error",
        code="slow_down",
        message="Your traffic grew too fast. Please reduce your request rate and ramp up slowly.",
    ),
    KnownError(
        status=503,
        kind="service_unavailable_error",
        code="server_is_overloaded",
        message="The engine is currently overloaded, please try again later.",
    ),
)
_BY_CODE = {error.code: error for error in _CODED}

_BY_STATUS = {
    401: _BY_CODE["invalid_api_key"],
    403: KnownError(
        status=403,
        kind="request_forbidden",
        code="unsupported_country_region_territory",
        message="Country, region, or territory not supported.",
    ),
    404: _BY_CODE["model_not_found"],
    429: REFUSED,
    503: KnownError(
        status=503,
        kind="service_unavailable_error",
        message="The service is unavailable. Please retry your request.",
    ),
}


def by_code(code: str, status: int | None) -> KnownError:
    """Return the error of a code; one that is not listed has the given status, or 400."""
    return _BY_CODE.get(code, KnownError(status=status or 400, kind=_INVALID, code=code))


def by_status(status: int) -> KnownError:
    """Return the usual error of a status."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= SERVER_FAULT.status:
        return KnownError(status=status, kind=SERVER_FAULT.kind, message=SERVER_FAULT.message)
    return KnownError(status=status, kind=_INVALID)
