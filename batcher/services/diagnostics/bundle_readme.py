"""The README inside a bundle: what is in it, what is not, and how to ask the same again by hand."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from batcher.domain.jobs import Job
from batcher.policy.urls import request_url, shown_base_url
from batcher.store.reports.support import Asked

#: Where `batcher simulate` listens unless told otherwise.
_SIMULATED: Final = "http://127.0.0.1:8000/v1"
_CLOSING: Final = (
    "A provider finds a request by `provider_request_id` in attempts.jsonl, and by `client_request_id`, which was "
    "sent as X-Client-Request-Id. Times are RFC 3339 UTC; time.json has the clock and zone of the machine."
)


def readme(
    job: Job, members: Mapping[str, str], left_out: Sequence[str], asked: Asked | None, *, has_content: bool
) -> str:
    """Markdown. `members` are file names and what stands in each; `asked` is the request to reproduce."""
    content = (
        "It holds prompts and answers (`--with-content` was given): hand it on with care."
        if has_content
        else "No prompt, no answer and no key is in it; of requests there is only their structure."
    )
    lines = [f"# batcher: job {job.id}", "", content, "", "| file | what it says |", "| --- | --- |"]
    lines += [f"| {name} | {what} |" for name, what in sorted(members.items())]
    lines += ["", "## Left out", ""]
    lines += [f"- {each}" for each in left_out] or ["- nothing"]
    if asked is not None:
        lines += ["", "## To reproduce", "", *_how(job, asked, has_content=has_content)]
    lines += ["", _CLOSING]
    return "\n".join([*lines, ""])


def curl_line(job: Job, asked: Asked, body_file: str) -> str:
    """One line of shell that sends the request again; the key is named by its variable."""
    settings = job.settings
    base_url = _SIMULATED if settings.simulate else job.base_url
    url = shown_base_url(request_url(base_url, asked.url))
    headers = ["-H 'Content-Type: application/json'", f'-H "Authorization: Bearer ${settings.api_key_env}"']
    headers += [f'-H "{name}: ${variable}"' for name, variable in sorted(settings.headers.items())]
    return f"curl -sS -i {shlex.quote(url)} {' '.join(headers)} --data-binary @{body_file}"


def _how(job: Job, asked: Asked, *, has_content: bool) -> list[str]:
    body = f"request-{asked.request}.body.json"
    if has_content:
        body = f"content/{body}"
        first = f"Request {asked.request} (line {asked.line}) once more, from the folder of this file:"
    else:
        first = (
            f"Whoever has the store writes the body of request {asked.request} (line {asked.line}) to {body}: "
            f"`batcher dlq show {asked.request} --json` prints it as `body`. Then:"
        )
    if job.settings.simulate:
        first = f"The provider was the built-in simulated one: `batcher simulate` serves it. {first}"
    return [first, "", f"    {curl_line(job, asked, body)}"]
