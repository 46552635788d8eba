"""The catalogue has words for every cause, and each surface names options in its own way."""

import pytest

from batcher.api.errors import words as python_words
from batcher.cli.terminal.messages import plain_words
from batcher.domain.messages import Cause
from batcher.messages.render import TEMPLATES


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_has_words(cause: Cause) -> None:
    assert cause in TEMPLATES


@pytest.mark.parametrize(
    ("message", "terminal", "python"),
    [
        (
            Cause.UNREACHABLE(job=3),
            (
                "check --base-url and the network, then `batcher resume 3`; with another address "
                "`batcher resume 3 --base-url URL`"
            ),
            (
                "check base_url and the network, then `batcher resume 3`; with another address "
                "`batcher resume 3 --base-url URL`"
            ),
        ),
        (
            Cause.UNREACHABLE_TLS(),
            (
                "check the host's name and its certificate; a company's own authority needs `--ca-file FILE`, and "
                "`batcher doctor` shows what is wrong"
            ),
            (
                "check the host's name and its certificate; a company's own authority needs `ca_file`, and "
                "`batcher doctor` shows what is wrong"
            ),
        ),
        (
            Cause.WRONG_BASE_URL(location="https://{host}/"),
            "check --base-url: it usually ends in /v1 (it redirects to https://{host}/)",
            "check base_url: it usually ends in /v1 (it redirects to https://{host}/)",
        ),
        (
            Cause.OR_ANOTHER_MODEL(fix=Cause.NO_MODEL_SERVED()),
            "load or deploy a model there, or name one with --model; --model names another",
            "load or deploy a model there, or name one with model; model names another",
        ),
        ("nothing to name", "nothing to name", "nothing to name"),
    ],
)
def test_each_surface_names_options_in_its_own_way(message, terminal: str, python: str) -> None:
    assert plain_words(message) == terminal
    assert python_words(message) == python


def test_the_steps_that_concern_a_job_need_one() -> None:
    assert plain_words(Cause.NO_CREDIT()) == "add credit or turn billing on in the provider's console"
    assert plain_words(Cause.NO_CREDIT(job=7)).endswith("console, then run `batcher resume 7`")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("add credit, then run `batcher resume`", "add credit, then run `batcher resume 7`"),
        ("{x}: `batcher resume --base-url URL`", "{x}: `batcher resume 7 --base-url URL`"),
        ("`batcher cancel JOB` gives up the rows", "`batcher cancel 7` gives up the rows"),
        ("`batcher resume 3` or `batcher doctor`", "`batcher resume 3` or `batcher doctor`"),
    ],
)
def test_a_text_of_an_earlier_version_names_the_job_that_waits(stored: str, shown: str) -> None:
    assert plain_words(Cause.TEXT(text=stored)) == stored
    assert plain_words(Cause.TEXT(text=stored, job=7)) == shown
    assert python_words(Cause.TEXT(text=stored, job=7)) == shown


def test_what_a_shell_would_read_is_quoted() -> None:
    assert plain_words(Cause.SELECTION(job=1, code="a b", status=400)) == "--job 1 --code 'a b' --status 400"
