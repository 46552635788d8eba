"""What `--url`, `--model` and `--no-body-checks` mean, for `run`, `submit` and `check`."""

from batcher.domain.errors import UsageError
from batcher.policy.api_paths import normal_path, path_reason
from batcher.policy.input.row_notes import is_placeholder
from batcher.services.jobs.line_chunks import SHOWN_BAD_LINES
from batcher.services.jobs.options import SubmitOptions


def parsing_options(url: str | None, model: str | None, *, no_body_checks: bool, as_json: bool) -> SubmitOptions:
    """Return how a file's lines are read. Raises UsageError if an option is wrong."""
    path = None if url is None else normal_path(url)
    if url is not None and path is None:
        raise UsageError(f"--url {url} {path_reason(url)}", hint="for example --url /v1/embeddings")
    if model is not None and (not model.strip() or is_placeholder(model)):
        raise UsageError(f"--model {model} does not name a model", hint="name the model as the provider calls it")
    keep = None if as_json else SHOWN_BAD_LINES
    return SubmitOptions(url=path, model=model, check_bodies=not no_body_checks, keep_bad=keep)
