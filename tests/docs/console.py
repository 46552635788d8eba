"""Runs the commands that the documentation shows, and compares what they print with what is shown.

A `console` block holds commands (after `$ `) and their output; an `sh` block holds only commands.
`…` stands for any text within a line of output; a line that is only `…` stands for any lines. A command that ends
with another exit code than 0 says so at its end: `# exit 3`. The page shows what the command wrote to stdout; if
stdout is empty, it shows stderr.

`python -m tests.docs.console` runs every page and writes the output into it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, Fence, fences
from tests.support.programs import provider

_KEY = "sk-documentation-0123456789"
_PLACEHOLDER_URL = "http://127.0.0.1:8000/v1"
_EXIT = re.compile(r"\s*# exit (\d+)$")
_COMMENT = re.compile(r"\s+#(?! exit \d).*$")
#: What another run prints differently: times, durations, ids, process numbers, rates, sizes of archives.
_VARIES = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "…"),
    (re.compile(r"\b(took +|after |worked on +|takes +)?\d[\d.,]* s\b"), r"\1… s"),
    (re.compile(r"req_[0-9a-f]{8,}"), "req_…"),
    (re.compile(r"pid \d+"), "pid …"),
    (re.compile(r"\([\d.]+ kB, (\d+ files)"), r"(… kB, \1"),
    (re.compile(r'("\w*seconds": )[\d.]+'), r"\1…"),
]


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page: its line, its words, the output shown for it, and the exit code that it states."""

    line: str
    words: str
    shown: str
    exit: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    output: str
    exit: int


def commands(fence: Fence) -> list[Command]:
    """The commands of a block, in order."""
    if fence.kind == "sh":
        lines = [(line, "") for line in fence.text.replace("\\\n", "").splitlines() if line.strip()]
    else:
        parts = re.split(r"^\$ ", fence.text, flags=re.MULTILINE)[1:]
        lines = [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
    return [_command(line, shown) for line, shown in lines if not line.lstrip().startswith("#")]


def _command(line: str, shown: str) -> Command:
    stated = _EXIT.search(line)
    words = _EXIT.sub("", line)
    return Command(line, _COMMENT.sub("", words).strip(), shown, int(stated[1]) if stated else 0)


class Shell:
    """A folder with the example job files, in which commands run in turn against a simulated provider."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        shutil.copytree(ROOT / "jobs", folder / "jobs")
        shutil.copy(ROOT / "jobs" / "chat.jsonl", folder / "job.jsonl")
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "COLUMNS": "100",
            "LANG": "C.UTF-8",
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": _KEY,
        }
        self._environ |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}

    def run(self, command: Command) -> Ran:
        """Run it; an `export` lasts for the commands after it, a `cd` does not."""
        words = command.words.replace(_PLACEHOLDER_URL, self._url)
        exported = re.fullmatch(r"export (\w+)=(\S*)", words)
        if exported:
            self._environ[exported[1]] = _KEY if "KEY" in exported[1] else exported[2]
            return Ran("", 0)
        return self._run(["bash", "-c", words])

    def run_python(self, program: str) -> Ran:
        """Run a program."""
        return self._run([sys.executable, "-c", program])

    def _run(self, words: list[str]) -> Ran:
        done = subprocess.run(
            words,
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        output = (done.stdout or done.stderr).replace(self._url, _PLACEHOLDER_URL).replace(f"{self._folder}/", "")
        return Ran(output, done.returncode)


def is_run(command: Command) -> bool:
    """Whether the command is one to run here: installing and `make` belong to other tests."""
    return not re.match(r"(pip|make|git|eval|python -m pip)\b", command.words)


def matches(shown: str, output: str) -> bool:
    """Whether output is what a page shows. Trailing spaces and blank lines at the end do not count."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*?") + r" *\n"
        for line in shown.rstrip().splitlines()
    )
    return re.fullmatch(pattern, _trimmed(output)) is not None


def normalized(output: str) -> str:
    """Output as a page shows it, with `…` for what another run prints differently."""
    for pattern, put in _VARIES:
        output = pattern.sub(put, output)
    return _trimmed(output)


def _trimmed(output: str) -> str:
    """The output without trailing spaces and without blank lines at the end; empty if there is nothing else."""
    return "".join(f"{line.rstrip()}\n" for line in output.rstrip().splitlines())


@contextmanager
def shell_of_its_own() -> Iterator[Shell]:
    """A new folder, and a provider that takes the key."""
    with tempfile.TemporaryDirectory() as folder, provider(api_key=_KEY) as running:
        yield Shell(Path(folder).resolve(), running.url)


def session(page: Path) -> Iterator[tuple[Fence, Command, Ran]]:
    """Run all commands of a page in one folder, in order."""
    with shell_of_its_own() as shell:
        for fence in fences(page, "console", "sh"):
            for command in commands(fence):
                if is_run(command):
                    yield fence, command, shell.run(command)


def python_session(page: Path) -> Iterator[tuple[Fence, Ran]]:
    """Run the Python examples of a page in one folder, in order."""
    with shell_of_its_own() as shell:
        for fence in fences(page, "python"):
            yield fence, shell.run_python(fence.text)


def _rewrite(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for fence, command, ran in session(page):
        if ran.exit != command.exit:
            sys.stderr.write(f"{page.name}:{fence.line}: `{command.words}` ended with {ran.exit}:\n{ran.output}\n")
        elif fence.kind == "console" and not matches(command.shown, ran.output):
            before = f"$ {command.line}\n{command.shown}"
            text = text.replace(before, f"$ {command.line}\n{normalized(ran.output)}", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for each in PAGES:
        _rewrite(each)
