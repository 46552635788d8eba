"""The errors that can be asked for by status or by code, as OpenAI words them (docs/providers.md#error-codes)."""

from msgspec import Struct


class Known(Struct, frozen=True, kw_only=True):
    """What goes into an error reply. `kind` is the body's `type`."""

    status: int
    kind: str
    code: str | None = None
    message: str = "The simulated provider was told to answer so."


_INVALID = "invalid_request_error"

REFUSED = Known(
    status=429,
    kind="requests",
    code="rate_limit_exceeded",
    message="Rate limit reached on requests per min (RPM).",
)
SERVER_FAULT = Known(
    status=500,
    kind="server_error",
    message="The server had an error while processing your request. Sorry about that!",
)

_CODED = (
    REFUSED,
    Known(
        status=400,
        kind=_INVALID,
        code="context_length_exceeded",
        message="This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 "
        "tokens. Please reduce the length of the messages.",
    ),
    Known(
        status=400,
        kind=_INVALID,
        code="content_policy_violation",
        message="Your request was rejected as a result of our safety system.",
    ),
    Known(
        status=400,
        kind=_INVALID,
        code="unsupported_parameter",
        message="Unsupported parameter: it is not supported with this model.",
    ),
    Known(status=401, kind=_INVALID, code="invalid_api_key", message="Incorrect API key provided."),
    Known(
        status=404,
        kind=_INVALID,
        code="model_not_found",
        message="The model does not exist or you do not have access to it.",
    ),
    Known(
        status=429,
        kind="insufficient_quota",
        code="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    ),
    Known(
        status=429,
        kind="rate_limit_error",
        code="slow_down",
        message="Your traffic grew too fast. Please reduce your request rate and ramp up slowly.",
    ),
    Known(
        status=503,
        kind="service_unavailable_error",
        code="server_is_overloaded",
        message="The engine is currently overloaded, please try again later.",
    ),
)
_BY_CODE = {known.code: known for known in _CODED}

_BY_STATUS = {
    401: _BY_CODE["invalid_api_key"],
    403: Known(
        status=403,
        kind="request_forbidden",
        code="unsupported_country_region_territory",
        message="Country, region, or territory not supported.",
    ),
    404: _BY_CODE["model_not_found"],
    429: REFUSED,
    503: Known(
        status=503,
        kind="service_unavailable_error",
        message="The service is unavailable. Please retry your request.",
    ),
}


def by_code(code: str, status: int | None) -> Known:
    """The error of that code; one that is not listed is a 400, or has the status asked for."""
    return _BY_CODE.get(code, Known(status=status or 400, kind=_INVALID, code=code))


def by_status(status: int) -> Known:
    """The usual error of a status."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= SERVER_FAULT.status:
        return Known(status=status, kind=SERVER_FAULT.kind, message=SERVER_FAULT.message)
    return Known(status=status, kind=_INVALID)
