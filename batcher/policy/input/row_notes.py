"""Notes about valid lines that are probably not meant as they are. They are counted, and nothing is refused."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from batcher.domain.messages import Cause, Words
from batcher.domain.requests import ParsedLine
from batcher.policy.api_paths import CHAT, EMBEDDINGS, MODERATIONS, RESPONSES

_Object = Mapping[str, object]

#: What `ParsedLine.notes` holds; `BESIDE` is followed by the key.
BESIDE: Final = "beside:"
METADATA: Final = "metadata"
NO_FORMAT_TYPE: Final = "no_format_type"
ANSWERED: Final = "answered"
_ENVELOPE: Final = frozenset({"custom_id", "method", "url", "body"})
#: Most keys beside `body` that are named.
_MOST_KEYS: Final = 10
_MOST_KEY_LENGTH: Final = 60
_PLACEHOLDER: Final = re.compile(
    r"\{+[^{}]*\}+|<[^<>]*>|\$\{.*\}|\.\.\.|…|REPLACE[-_ ].*|(?:[A-Z]+[-_ ])?(?:MODEL|DEPLOYMENT)(?:[-_ ][A-Z]+)*"
    r"|(?i:placeholder|todo|(?:insert|your)[-_ ].*)"
)


def is_placeholder(model: object) -> bool:
    """Return whether a model's name is one that a template left, such as `{{modelName}}` or `YOUR-MODEL`."""
    return isinstance(model, str) and _PLACEHOLDER.fullmatch(model.strip()) is not None


def notes_on(path: str, body: _Object) -> tuple[str, ...]:
    """Return the notes about a body."""
    notes = []
    if path in (EMBEDDINGS, MODERATIONS) and body.get("metadata") is not None:
        notes.append(METADATA)
    if _format(path, body) is not None:
        notes.append(NO_FORMAT_TYPE)
    messages = body.get("messages")
    if path == CHAT and isinstance(messages, list) and _by_assistant(messages[-1:]):
        notes.append(ANSWERED)
    return tuple(notes)


def notes_beside(document: _Object) -> tuple[str, ...]:
    """Return the notes about a batch line's keys that are not sent."""
    others = [key for key in document if key not in _ENVELOPE and document[key] is not None]
    return tuple(f"{BESIDE}{key[:_MOST_KEY_LENGTH]}" for key in others[:_MOST_KEYS])


def _format(path: str, body: _Object) -> _Object | None:
    """Return the answer format of a body if it lacks its `type`."""
    wanted = body.get("response_format") if path == CHAT else None
    text = body.get("text") if path == RESPONSES else None
    if isinstance(text, dict):
        wanted = text.get("format")
    return wanted if isinstance(wanted, dict) and wanted.get("type") is None else None


def _by_assistant(last: list[object]) -> bool:
    return any(isinstance(message, dict) and message.get("role") == "assistant" for message in last)


class NoteCounter:
    """Counts the notes of a file's valid lines."""

    def __init__(self) -> None:
        self._models: defaultdict[str, int] = defaultdict(int)
        self._counts: Counter[str] = Counter()

    def add(self, lines: Iterable[ParsedLine]) -> None:
        """Count the notes of these lines."""
        models = self._models
        for line in lines:
            models[line.model] += 1
            if line.notes:
                self._counts.update(line.notes)

    def sentences(self) -> list[Words]:
        """Return a sentence for each kind of note."""
        said: list[Words] = [
            Cause.PLACEHOLDER_MODEL(lines=_lines(count), model=model)
            for model, count in self._models.items()
            if is_placeholder(model)
        ]
        beside = {
            note.removeprefix(BESIDE): count for note, count in self._counts.items() if note.startswith(BESIDE)
        }
        said += [
            f"`{key}` stands beside `body` in {_some(count)} and is not sent; move it into `body` if it is meant"
            " for the model"
            for key, count in list(beside.items())[:_MOST_KEYS]
        ]
        if count := self._counts[METADATA]:
            said.append(
                f"`metadata` is sent with {_some(count)}, and OpenAI's embeddings refuse it;"
                " `jq -c 'del(.metadata)'` removes it from bare bodies"
            )
        if count := self._counts[NO_FORMAT_TYPE]:
            said.append(
                f"the answer format has no `type` in {_some(count)}, which OpenAI refuses; a schema needs"
                ' {"type": "json_schema", "json_schema": {…}}'
            )
        count = self._counts[ANSWERED]
        if count and count * 2 > sum(self._models.values()):
            said.append(
                f"the last message is the assistant's in {_some(count)}, as in data for fine-tuning; to ask again,"
                " `jq -c 'del(.messages[-1])'` removes it from bare bodies"
            )
        return said


def _some(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _lines(count: int) -> str:
    return "1 line names" if count == 1 else f"{count:,} lines name"
