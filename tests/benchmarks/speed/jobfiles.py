"""Job files of known shape, made once and kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

#: A model without a known vocabulary: so a job costs the same where the `tokens` extra is installed.
_MODEL = "llama-3.1-8b-instruct"
#: One whose tokens that extra counts.
COUNTED_MODEL = "gpt-4o-mini"
_SYSTEM = "Solve the problem step by step. End with the answer after ####."


def chat_file(folder: Path, rows: int, *, model: str = _MODEL) -> Path:
    """`rows` chat lines of about 400 bytes, no two with the same body."""
    return _kept(folder / f"{model}-{rows}.jsonl", lambda: (_chat_line(number, model) for number in range(rows)))


def big_file(folder: Path, rows: int, megabytes: int) -> Path:
    """Chat lines of so many megabytes each."""
    text = "A long document, of which each line is like the one before. " * (megabytes * 1_000_000 // 60)
    return _kept(
        folder / f"big-{rows}x{megabytes}.jsonl", lambda: (_line(n, f"{n}: {text}", _MODEL) for n in range(rows))
    )


def _chat_line(number: int, model: str) -> str:
    person = f"a person have who had {number} apples and ate {number % 7} of them on a sunny day in the garden"
    return _line(number, f"Question number {number}: how many apples does {person}?", model)


def _line(number: int, question: str, model: str) -> str:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "max_tokens": 64, "temperature": 0}
    line = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line) + "\n"


def _kept(path: Path, lines: Callable[[], Iterator[str]]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        growing = path.with_suffix(".growing")
        with growing.open("w", encoding="utf-8") as file:
            file.writelines(lines())
        growing.replace(path)
    return path
