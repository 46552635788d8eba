"""Where a store may stand: one real path on a local file system.

Two names of one file would each have locks and a log of their own, and so would two views of a file that is
mounted by itself. Network and cluster file systems are refused by name.

A store in WAL mode keeps its index in memory shared by all its processes. Machines cannot share that memory, and
not all of these file systems enforce the writers' locks across machines. File systems that share a folder of the
same machine (9p and virtiofs into a VM, overlay, bind mounts) are accepted.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from batcher.domain.errors import StoreError
from batcher.domain.messages import Cause

#: Names as the kernel has them; those in user space (`fuse.NAME`) without their prefix.
_SHARED: Final = frozenset(
    {
        "afs",
        "afpfs",
        "beegfs",
        "blobfuse",
        "blobfuse2",
        "ceph",
        "ceph-fuse",
        "cifs",
        "coda",
        "curlftpfs",
        "davfs",
        "davfs2",
        "gcsfuse",
        "geesefs",
        "gfs2",
        "glusterfs",
        "goofys",
        "gpfs",
        "hdfs",
        "juicefs",
        "kafs",
        "lustre",
        "moosefs",
        "mfs",
        "mount-s3",
        "mountpoint-s3",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "pvfs2",
        "rclone",
        "s3fs",
        "seaweedfs",
        "smb2",
        "smb3",
        "smbfs",
        "sshfs",
        "webdav",
        "wekafs",
    }
)
_OTHER_PLACE: Final = Cause.NAME_OTHER_PLACE()
_MOUNT_COMMAND: Final = ["/sbin/mount"]
_PRINTED: Final = re.compile(r".+ on (/.*) \(([^,()]+)(?:, [^()]*)?\)")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True):
    """A file system and where it is mounted."""

    place: str
    kind: str


def real_path(path: Path) -> Path:
    """Return the store's one absolute path, through all symbolic links. The file need not exist yet."""
    try:
        found = Path(os.path.realpath(path))
    except OSError as error:
        raise StoreError(f"the store {path} cannot be found: {error.strerror}", hint=_OTHER_PLACE) from error
    if found.is_symlink():
        raise StoreError(f"the store {path} is a symbolic link that leads back to itself", hint=_OTHER_PLACE)
    return found


def refuse_second_view(path: Path) -> None:
    """Raise StoreError if the file at the real path can also be reached where its log does not stand."""
    _refuse_several_names(path)
    if any(mount.place == str(path) for mount in _parsed(_mounts())):
        raise StoreError(
            f"the store {path} is a file that is mounted by itself, so its log would stand elsewhere than it does",
            hint=f"mount its folder instead of the file, for example with `docker run -v FOLDER:{path.parent}`",
        )


def refuse_shared(path: Path) -> None:
    """Raise StoreError if the store would be on a network file system. An unknown file system is accepted."""
    mount = mount_of(path.parent, _mounts())
    if mount is not None and is_shared(mount.kind):
        raise StoreError(
            f"the store {path} would stand on a network file system ({mount.kind}, mounted at {mount.place}),"
            " where SQLite can be damaged",
            hint=Cause.LOCAL_DISK_FOR_STORE(),
        )


def _refuse_several_names(path: Path) -> None:
    """Raise StoreError if the file has hard links: opened by another name, it would have another log."""
    try:
        names = path.stat().st_nlink
    except OSError:
        return
    if names > 1 and path.is_file():
        raise StoreError(
            f"the store {path} has {names} names (hard links), and each would have a log of its own",
            hint=Cause.SEVERAL_NAMES(path=str(path)),
        )


def is_shared(kind: str) -> bool:
    """Return whether several machines may use a file system of this kind at once."""
    return kind.removeprefix("fuse.").lower() in _SHARED


def mount_of(folder: Path, mounts: str) -> Mount | None:
    """Return the file system of an absolute folder; None if unknown.

    `mounts` is the text of Linux's `/proc/self/mountinfo`, or what `mount` prints on macOS. If several are mounted
    at one place, the last one counts.
    """
    best: Mount | None = None
    for mount in _parsed(mounts):
        if folder.is_relative_to(mount.place):
            best = mount if best is None or len(mount.place) >= len(best.place) else best
    return best


def _parsed(mounts: str) -> Iterator[Mount]:
    for line in mounts.splitlines():
        if (mount := _mount(line) or _printed_mount(line)) is not None:
            yield mount


def _mount(line: str) -> Mount | None:
    """Parse `36 35 98:0 /root /place options optional… - kind source options`; see proc(5)."""
    before, dash, behind = line.partition(" - ")
    fields = before.split(" ")
    if not dash or len(fields) < 5:  # noqa: PLR2004 - the fifth is the place
        return None
    place = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return Mount(place, behind.split(" ")[0])


def _printed_mount(line: str) -> Mount | None:
    """Parse `source on /place (kind, options…)`, as `mount` prints it on macOS."""
    found = _PRINTED.fullmatch(line)
    return None if found is None else Mount(found[1], found[2])


def _mounts() -> str:
    """Return the list of what is mounted; empty if the system does not say."""
    if sys.platform == "darwin":
        return mount_output(_MOUNT_COMMAND)
    try:
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""


def mount_output(command: Sequence[str]) -> str:
    """Return what the command prints; empty if it fails."""
    import subprocess  # noqa: PLC0415 - on macOS alone

    try:
        listing = subprocess.run(command, capture_output=True, timeout=5, check=False)  # noqa: S603 - `mount`, without arguments
    except (OSError, subprocess.SubprocessError):
        return ""
    return listing.stdout.decode(errors="surrogateescape")
