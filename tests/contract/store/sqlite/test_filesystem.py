"""Where a store stands: network file systems are refused by name, read-only places can be read."""

import fcntl
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.errors import ForeignStore, StoreError
from batcher.ports import Store
from batcher.services.store import open_store as opening
from batcher.store.sqlite import filesystem, migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock, runner_is_live
from batcher.store.sqlite.filesystem import Mount, is_shared, mount_of
from batcher.store.sqlite.read_only import ReadOnlyDatabase, open_for_reading
from tests.support.messages import words
from tests.support.stores import open_store

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw shared:2 master:3 - proc proc rw
30 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 8:1 / /home/me/local rw - ext4 /dev/sdb1 rw
32 22 0:41 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:42 / /data rw - autofs systemd-1 rw
34 33 0:43 / /data rw - fuse.sshfs me@host: rw
35 22 0:44 / /shared rw - nfs server:/x rw
36 35 8:2 / /shared rw - xfs /dev/sdc1 rw
a line of another kind
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/root", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/local", "ext4"),
        ("/home/me/local/deep/er", "ext4"),
        ("/home/me/localised", "nfs4"),
        ("/homestead", "ext4"),
        ("/mnt/with space/x", "cifs"),
        ("/data/x", "fuse.sshfs"),
        ("/shared/x", "xfs"),
    ],
)
def test_the_file_system_of_a_folder_is_the_innermost_and_last_mounted(folder: str, kind: str) -> None:
    found = mount_of(Path(folder), MOUNTS)
    assert found is not None
    assert found.kind == kind


@given(st.text(max_size=200))
def test_no_list_of_mounts_is_too_strange_to_read(text: str) -> None:
    found = mount_of(Path("/x"), text)
    assert found is None or isinstance(found, Mount)


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "afs",
        "gfs2",
        "ocfs2",
        "ceph",
        "lustre",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.rclone",
    ],
)
def test_what_machines_share_is_known_by_name(kind: str) -> None:
    assert is_shared(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "9p", "virtiofs", "fuseblk", "fuse"]
)
def test_what_one_machine_has_is_taken(kind: str) -> None:
    assert not is_shared(kind)


def test_a_store_on_a_network_file_system_is_refused_by_name_and_not_made(tmp_path, monkeypatch) -> None:
    line = f"40 22 0:50 / {tmp_path} rw - nfs4 server:/x rw"
    monkeypatch.setattr(filesystem, "_mounts", lambda: MOUNTS + line)
    with pytest.raises(StoreError) as caught:
        Database(tmp_path / "batcher.db")
    assert f"(nfs4, mounted at {tmp_path})" in words(caught.value.message)
    assert "--db" in words(caught.value.hint)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "deeper").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "deeper")
    with pytest.raises(StoreError, match="network file system"):
        Database(tmp_path / "link" / "batcher.db")


def test_where_the_system_tells_nothing_no_place_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(filesystem, "_mounts", lambda: "")
    Database(tmp_path / "batcher.db").close()
    assert (tmp_path / "batcher.db").stat().st_size > 0


def test_this_machine_tells_what_holds_a_folder(tmp_path) -> None:
    found = mount_of(tmp_path.resolve(), filesystem._mounts())
    assert found is not None
    assert Path(found.place).stat().st_dev == tmp_path.stat().st_dev


# --- what can only be read ---


def left_open(folder: Path) -> Path:
    """A store whose last process was killed: its log stands beside it."""
    open_store(folder).close()
    path = folder / "batcher.db"
    writer = Database(path)
    with writer.write() as connection:
        connection.exec_driver_sql("UPDATE store SET program_version = 'in the log'")
    copy = folder / "copy"
    copy.mkdir()
    for part in ("", "-wal", "-shm"):
        (copy / f"batcher.db{part}").write_bytes((folder / f"batcher.db{part}").read_bytes())
    writer.close()
    return copy / "batcher.db"


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system says that nothing may be written: tests run as root, whom no mode stops."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and allowed(path, mode))


def version(database: Store) -> object:
    with database.read() as connection:
        return connection.exec_driver_sql("SELECT program_version FROM store").scalar()


@pytest.mark.usefixtures("unwritable")
def test_a_store_that_cannot_be_written_is_read_without_a_trace(tmp_path) -> None:
    open_store(tmp_path).close()
    for part in tmp_path.glob("batcher.db-*"):
        part.unlink()
    with opening.open_existing(str(tmp_path / "batcher.db")) as database:
        assert database.is_read_only
        assert version(database)
        with pytest.raises(StoreError) as caught, database.write():
            pass
    assert "can only be read here" in words(caught.value.message)
    assert "--db" in words(caught.value.hint)
    assert [each.name for each in tmp_path.iterdir()] == ["batcher.db"]


@pytest.mark.usefixtures("unwritable")
def test_what_stands_in_the_log_is_read_too(tmp_path) -> None:
    with closing(open_for_reading(left_open(tmp_path))) as database:
        assert version(database) == "in the log"


@pytest.mark.usefixtures("unwritable")
def test_a_log_that_cannot_be_read_is_said_and_never_passed_over(tmp_path) -> None:
    path = left_open(tmp_path)
    path.with_name("batcher.db-shm").unlink()
    with pytest.raises(StoreError, match="was not closed") as caught:
        open_for_reading(path)
    assert "batcher.db-wal" in words(caught.value.hint)


@pytest.mark.usefixtures("unwritable")
@pytest.mark.parametrize("content", [b"notes\n" * 1_000, None])
def test_a_foreign_file_is_refused_also_where_it_can_only_be_read(tmp_path, content) -> None:
    path = tmp_path / "other.db"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE notes (text)")
    else:
        path.write_bytes(content)
    with pytest.raises(ForeignStore):
        open_for_reading(path)


def test_an_older_store_that_can_only_be_read_says_so(tmp_path) -> None:
    path = tmp_path / "batcher.db"
    Database(path).close()
    with closing(ReadOnlyDatabase(path)) as database, pytest.raises(StoreError, match="older schema"):
        migrate.require_current(database)


def test_a_live_runner_is_seen_without_writing(tmp_path) -> None:
    side = tmp_path / "batcher.db-runner"
    assert not runner_is_live(tmp_path / "batcher.db")
    with side.open("w") as file:
        assert not runner_is_live(tmp_path / "batcher.db")
        fcntl.flock(file, fcntl.LOCK_EX)
        assert runner_is_live(tmp_path / "batcher.db")


# --- macOS prints what Linux has in a file ---

PRINTED = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//me@nas._smb._tcp.local/share on /Volumes/my share (smbfs, nodev, nosuid, mounted by me)
server:/exports on /Volumes/on (nfs)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/Users/me", "apfs"),
        ("/Volumes/my share/x", "smbfs"),
        ("/Volumes/on", "nfs"),
        ("/System/Volumes/Data/home/me", "autofs"),
    ],
)
def test_what_mount_prints_on_macos_is_understood(folder: str, kind: str) -> None:
    found = mount_of(Path(folder), PRINTED)
    assert found is not None
    assert found.kind == kind


def test_on_macos_the_command_is_asked_and_may_fail(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(filesystem, "_MOUNT_COMMAND", ["/bin/echo", PRINTED])
    assert "smbfs" in filesystem._mounts()
    monkeypatch.setattr(filesystem, "_MOUNT_COMMAND", ["/does/not/exist"])
    assert filesystem._mounts() == ""


# --- one file, one path ---


def side_files(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if "-" in each.name}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_a_store_leads_to_the_files_of_the_store(tmp_path, is_there) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.db"
    (tmp_path / "links" / "further.db").symlink_to("../data/batcher.db")
    link.symlink_to("further.db")
    if is_there:
        open_store(tmp_path / "data").close()
    before = os.umask(0)
    try:
        database = open_store(link.parent, "link.db")
        real = tmp_path / "data" / "batcher.db"
        assert database.path == real
        first, second = RunnerLock(database.path), RunnerLock(Database(real).path)
        first.acquire()
        assert second.is_live()
        assert real.stat().st_mode & 0o777 == 0o600
        assert side_files(link.parent) == set()
        with closing(ReadOnlyDatabase(link)) as looking:
            assert looking.path == real
        assert open_for_reading(link).path == real
    finally:
        os.umask(before)


def test_a_link_that_leads_to_itself_is_refused(tmp_path) -> None:
    (tmp_path / "a.db").symlink_to("b.db")
    (tmp_path / "b.db").symlink_to("a.db")
    with pytest.raises(StoreError, match="leads back to itself"):
        Database(tmp_path / "a.db")


def test_a_store_is_found_again_after_the_working_directory_has_changed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Database(Path("batcher.db"))) as database, closing(ReadOnlyDatabase(Path("batcher.db"))) as other:
        monkeypatch.chdir("/")
        migrate.upgrade(database, now=1)
        assert version(database)
        assert version(other)
    assert (tmp_path / "batcher.db").exists()


@pytest.mark.parametrize("kind", [Database, ReadOnlyDatabase])
def test_a_file_with_a_second_name_is_refused(tmp_path, kind) -> None:
    open_store(tmp_path).close()
    (tmp_path / "other.db").hardlink_to(tmp_path / "batcher.db")
    with pytest.raises(StoreError, match="2 names") as caught:
        kind(tmp_path / "other.db")
    assert "-samefile" in words(caught.value.hint)


def test_a_file_that_is_mounted_by_itself_is_refused(tmp_path, monkeypatch) -> None:
    place = str(tmp_path / "my batcher.db").replace(" ", r"\040")
    line = f"40 22 254:0 /host/batcher.db {place} rw - ext4 /dev/vda rw"
    monkeypatch.setattr(filesystem, "_mounts", lambda: MOUNTS + line)
    with pytest.raises(StoreError, match="mounted by itself") as caught:
        Database(tmp_path / "my batcher.db")
    assert "mount its folder" in words(caught.value.hint)
    assert list(tmp_path.iterdir()) == []
    Database(tmp_path / "batcher.db").close()
