"""Run a command as a process of its own and say what it cost."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

#: What a developer's shell may hold that would change what is measured.
_LEFT_OUT = ("BATCHER_", "OPENAI_", "PYTHON")
BATCHER = (sys.executable, "-m", "batcher")
ROOT = Path(__file__).parents[3]
_LOOK_SECONDS = 0.02


class Broken(SystemExit):
    """A case cannot be measured; what is told says why. Uncaught it ends the program with 1."""


class Ran(Struct, frozen=True, kw_only=True):
    """A process that has ended. `peak_mib` is of the largest one where it had children."""

    wall: float
    cpu: float
    peak_mib: float
    code: int
    out: bytes
    err: bytes


def run(*argv: object, cwd: Path, ends: Sequence[int] = (0,)) -> Ran:
    """Run to the end; anything but one of the exit codes in `ends` is an error that shows what was said.

    The peak of memory is that of `wait4`. A child begins with its parent's (Linux counts what was there before the
    `exec`), so this program itself must stay small.
    """
    out, err = (cwd / "stdout").open("w+b"), (cwd / "stderr").open("w+b")
    with out, err:
        began = time.perf_counter()
        child = start(*argv, cwd=cwd, out=out, err=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        ran = Ran(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / 1024,
            code=child.returncode,
            out=_read(out),
            err=_read(err),
        )
    if ran.code not in ends:
        told = ran.err.decode("utf-8", "replace")[-2_000:]
        raise Broken(f"{' '.join(map(str, argv))} ended with {ran.code}:\n{told}")
    return ran


def peak_together(*argv: object, cwd: Path) -> float:
    """Run to the end; the most MiB that the process and its children had at once, what they share counted once.

    Looking costs time: a run that is looked at is not one to be timed.
    """
    peak = 0.0
    with (cwd / "stdout").open("wb") as out, (cwd / "stderr").open("wb") as err:
        child = start(*argv, cwd=cwd, out=out, err=err)
        while child.poll() is None:
            peak = max(peak, sum(_proportional_mib(each) for each in (child.pid, *_children(child.pid))))
            time.sleep(_LOOK_SECONDS)
    if child.returncode:
        raise Broken(f"{' '.join(map(str, argv))} ended with {child.returncode}")
    return peak


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _proportional_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def start(*argv: object, cwd: Path, out: BinaryIO, err: BinaryIO) -> subprocess.Popen[bytes]:
    """Start it with an environment in which only the arguments say what it does."""
    return subprocess.Popen([str(each) for each in argv], cwd=cwd, env=environment(), stdout=out, stderr=err)


def environment() -> dict[str, str]:
    """This process's, without what could change a measurement; modules of this checkout can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    return kept | {"PYTHONPATH": str(ROOT)}


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
