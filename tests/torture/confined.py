"""The program under limits and on disks of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import Running

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextmanager
def confined(before: str, *args: object, fault: Sequence[str] = ()) -> Iterator[Running]:
    """`batcher` after a line of shell (`ulimit …`), run by strace where it is to inject a `fault`."""
    program = [*fault, sys.executable, "-m", "batcher", *map(str, args)]
    process = subprocess.Popen(
        ["sh", "-c", f'{before}\nexec "$@"', "sh", *program],
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running = Running(process)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A disk of this size in the folder."""
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


@contextmanager
def read_only(where: Path) -> Iterator[None]:
    """The mounted disk takes nothing for the block."""
    subprocess.run(["mount", "-o", "remount,ro", where], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", where], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on the disk for the block."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                pass
    try:
        yield
    finally:
        filler.unlink()
