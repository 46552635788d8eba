"""Files that are whole or not there."""

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from batcher.domain.errors import BatcherError, UsageError
from batcher.files.writing import append_to, check_target, remove_if_present, write_atomically
from tests.support.messages import words


class Boom(Exception):
    """Something went wrong while writing."""


def test_a_file_appears_whole_and_for_its_owner_alone(tmp_path):
    target = tmp_path / "out.jsonl"
    with write_atomically(target) as file:
        file.write(b"line\n")
        assert not target.exists()
    assert target.read_bytes() == b"line\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_is_there_is_replaced_at_the_end(tmp_path):
    target = tmp_path / "out.jsonl"
    target.write_bytes(b"old")
    with write_atomically(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    target = tmp_path / "out.jsonl"
    target.write_bytes(b"old")

    def write_half():
        with write_atomically(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "out.jsonl"
    target.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BatcherError, match="No space left") as told, write_atomically(target) as file:
        file.write(b"new")
    assert words(told.value.hint)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_and_its_folder_are_synced_around_the_renaming(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, Path.replace

    def seen_sync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def seen_rename(path, to):
        done.append("rename")
        return rename(path, to)

    monkeypatch.setattr("os.fsync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_rename)
    with write_atomically(tmp_path / "out") as file:
        file.write(b"x")
    assert done == ["file", "rename", "folder"]


def link(tmp_path):
    (tmp_path / "real").write_bytes(b"real")
    (tmp_path / "link").symlink_to("real")
    return tmp_path / "link"


def dangling(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    return tmp_path / "link"


def folder(tmp_path):
    return tmp_path


def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def nowhere(tmp_path):
    return tmp_path / "missing" / "out"


def below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "file" / "out"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (link, r"link is a symbolic link \(to real\)"),
        (dangling, r"link is a symbolic link \(to nowhere\)"),
        (folder, "is a folder"),
        (pipe, "is not a regular file"),
        (nowhere, "the folder .*missing does not exist"),
        (below_a_file, "cannot write"),
    ],
)
def test_a_target_that_cannot_be_replaced_is_refused_by_name(tmp_path, make, message):
    target = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=message):
        check_target(target)
    with pytest.raises(BatcherError, match=message), write_atomically(target) as file:
        file.write(b"never")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_may_not_be_written_to_is_refused_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match="is not writable"):
        check_target(tmp_path / "out")


def test_a_target_that_can_be_written_passes_the_check(tmp_path):
    check_target(tmp_path / "new")
    (tmp_path / "old").write_bytes(b"")
    check_target(tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"], "the check leaves nothing behind"


def test_a_name_of_full_length_can_be_written(tmp_path):
    target = tmp_path / ("x" * 255)
    with write_atomically(target) as file:
        file.write(b"x")
    assert target.read_bytes() == b"x"


def test_removing_takes_the_file_or_the_link_and_minds_no_absence(tmp_path):
    target = link(tmp_path)
    remove_if_present(target)
    remove_if_present(target)
    assert (tmp_path / "real").read_bytes() == b"real"
    assert not target.is_symlink()


def test_what_cannot_be_removed_is_told(tmp_path):
    with pytest.raises(BatcherError, match="cannot remove"):
        remove_if_present(tmp_path)


LEFT = ".out.jsonl.abcd_123.tmp"


def test_what_a_killed_writer_left_goes_with_the_next_file_of_that_name(tmp_path):
    others = [
        ".out.jsonl.abc.tmp",
        ".out.jsonl.abcd_123.tmp.bak",
        ".other.jsonl.abcd_123.tmp",
        "out.jsonl.abcd_123.tmp",
    ]
    for name in (LEFT, *others):
        (tmp_path / name).write_bytes(b"half")
    with write_atomically(tmp_path / "out.jsonl"):
        pass
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["out.jsonl", *others])


def test_what_another_process_writes_now_is_left_alone(tmp_path):
    target = tmp_path / "out.jsonl"
    with write_atomically(target) as first:
        first.write(b"first")
        with write_atomically(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("elsewhere"), lambda path: path.mkdir(), os.mkfifo])
def test_a_planted_temporary_name_is_neither_followed_nor_removed(tmp_path, make):
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    make(tmp_path / LEFT)
    with write_atomically(tmp_path / "out.jsonl") as file:
        file.write(b"ours")
    assert (tmp_path / "elsewhere").read_bytes() == b"theirs"
    assert (tmp_path / "out.jsonl").read_bytes() == b"ours"
    assert os.path.lexists(tmp_path / LEFT)


def test_a_file_that_is_taken_for_left_over_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock = fcntl.flock
    names: list[str] = []

    def beaten(handle, how):
        if not names:
            names.extend(each.name for each in tmp_path.iterdir())
            (tmp_path / names[0]).unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", beaten)
    with write_atomically(tmp_path / "out.jsonl") as file:
        file.write(b"whole")
    assert len(names) == 1
    assert (tmp_path / "out.jsonl").read_bytes() == b"whole"


def test_where_the_file_system_knows_no_locks_files_are_written_and_none_removed(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    (tmp_path / LEFT).touch()
    with write_atomically(tmp_path / "out.jsonl"):
        pass
    assert sorted(each.name for each in tmp_path.iterdir()) == [LEFT, "out.jsonl"]


@pytest.mark.parametrize("name", ["x" * 240, "é" * 120, "x" * 99 + "é" * 60])
def test_a_long_name_is_written_to(tmp_path, name):
    with write_atomically(tmp_path / name):
        pass
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_log_is_made_for_its_owner_alone_and_gone_on_with(tmp_path):
    path = tmp_path / "log"
    before = os.umask(0)
    try:
        for word in ("one", "two\udcff"):
            with append_to(str(path)) as file:
                file.write(f"{word}\n")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"one\ntwo\\udcff\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "number", [errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EBADF]
)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch, number, call):
    fail_for_folders(monkeypatch, call, number)
    with write_atomically(tmp_path / "out.jsonl") as file:
        file.write(b"whole")
    assert (tmp_path / "out.jsonl").read_bytes() == b"whole"


def test_a_disk_that_fails_to_flush_a_folder_is_one(tmp_path, monkeypatch):
    fail_for_folders(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(BatcherError, match="cannot write"), write_atomically(tmp_path / "out.jsonl"):
        pass


def fail_for_folders(monkeypatch, call, number):
    real_open, real_fsync = os.open, os.fsync

    def opened(path, flags, *more, **named):
        if call == "open" and flags & os.O_DIRECTORY:
            raise OSError(number, os.strerror(number))
        return real_open(path, flags, *more, **named)

    def flushed(handle):
        if call == "fsync" and stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real_fsync(handle)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", flushed)


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EPERM, errno.ENOSPC, errno.EROFS])
def test_a_folder_that_lets_no_file_be_made_is_found_before(tmp_path, monkeypatch, code):
    def refuse(**_):
        raise OSError(code, os.strerror(code))

    check_target(tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(UsageError, match=os.strerror(code)) as caught:
        check_target(tmp_path / "out.jsonl")
    assert str(tmp_path) in words(caught.value.message)
