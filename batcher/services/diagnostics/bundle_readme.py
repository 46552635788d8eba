"""The README in a bundle: what it contains, what it does not, and how to send the same request by hand."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Message
from batcher.policy.urls import request_url
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.store.reports.support import RequestWithBodies

#: The default address of `batcher simulate`.
_SIMULATED: Final = "http://127.0.0.1:8000/v1"
_CLOSING: Final = (
    "A provider finds a request by `provider_request_id` in attempts.jsonl, and by `client_request_id`, which was "
    "sent as X-Client-Request-Id. Times are RFC 3339 UTC; time.json has the clock and zone of the machine."
)


def readme(
    job: Job,
    members: Mapping[str, str],
    left_out: Sequence[str],
    asked: RequestWithBodies | None,
    *,
    has_content: bool,
    words: Callable[[Message], str],
) -> str:
    """Return the README in Markdown.

    `members` maps file names to their contents; `asked` is the request to reproduce.
    """
    content = (
        words(Cause.BUNDLE_HAS_CONTENT())
        if has_content
        else "It contains no prompt, no answer and no key; of requests, only the structure."
    )
    lines = [f"# batcher: job {job.id}", "", content, "", "| file | content |", "| --- | --- |"]
    lines += [f"| {name} | {what} |" for name, what in sorted(members.items())]
    lines += ["", "## Left out", ""]
    lines += [f"- {each}" for each in left_out] or ["- nothing"]
    if asked is not None:
        lines += ["", "## To reproduce", "", *_how(job, asked, has_content=has_content, words=words)]
    lines += ["", _CLOSING]
    return "\n".join([*lines, ""])


def curl_line(job: Job, asked: RequestWithBodies, body_file: str) -> str:
    """Return one shell line that sends the request again. The key is given as its variable."""
    settings = job.settings
    base_url = _SIMULATED if settings.simulate else job.base_url
    url = shown_base_url(request_url(base_url, asked.url))
    headers = ["-H 'Content-Type: application/json'", f'-H "Authorization: Bearer ${settings.api_key_env}"']
    headers += [f'-H "{name}: ${variable}"' for name, variable in sorted(settings.headers.items())]
    return f"curl -sS -i {shlex.quote(url)} {' '.join(headers)} --data-binary @{body_file}"


def _how(job: Job, asked: RequestWithBodies, *, has_content: bool, words: Callable[[Message], str]) -> list[str]:
    body = f"request-{asked.request}.body.json"
    if has_content:
        body = f"content/{body}"
        first = f"To send request {asked.request} (line {asked.line}) again, from the folder of this file:"
    else:
        first = (
            f"With the store at hand, write the body of request {asked.request} (line {asked.line}) to {body}: "
            f"{words(Cause.BUNDLE_BODY(request=asked.request))} Then:"
        )
    if job.settings.simulate:
        first = f"{words(Cause.BUNDLE_SIMULATED())} {first}"
    return [first, "", f"    {curl_line(job, asked, body)}"]
