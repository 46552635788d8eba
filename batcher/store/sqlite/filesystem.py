"""Refuses network and cluster file systems, by name.

A store in WAL mode keeps its index in memory shared by all its processes. Machines cannot share that memory, and
not all of these file systems enforce the writers' locks across machines. File systems that share a folder of the
same machine (9p and virtiofs into a VM, overlay, bind mounts) are accepted.
"""

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from batcher.domain.errors import StoreError

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
        "wekafs",
    }
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True):
    """A file system and where it is mounted."""

    place: str
    kind: str


def refuse_shared(path: Path) -> None:
    """Raise StoreError if the store would be on a network file system. An unknown file system is accepted."""
    mount = mount_of(path.parent.resolve(), _mounts())
    if mount is not None and is_shared(mount.kind):
        raise StoreError(
            f"the store {path} would stand on a network file system ({mount.kind}, mounted at {mount.place}),"
            " where SQLite can be damaged",
            hint="name a place on a local disk: --db /var/tmp/batcher.db; job files and results may stay",
        )


def is_shared(kind: str) -> bool:
    """Return whether several machines may use a file system of this kind at once."""
    return kind.removeprefix("fuse.").lower() in _SHARED


def mount_of(folder: Path, mounts: str) -> Mount | None:
    """Return the file system of an absolute folder, from the text of `/proc/self/mountinfo`; None if unknown.

    If several are mounted at one place, the last one counts.
    """
    best: Mount | None = None
    for line in mounts.splitlines():
        mount = _mount(line)
        if mount is not None and folder.is_relative_to(mount.place):
            best = mount if best is None or len(mount.place) >= len(best.place) else best
    return best


def _mount(line: str) -> Mount | None:
    """Parse `36 35 98:0 /root /place options optional… - kind source options`; see proc(5)."""
    before, dash, behind = line.partition(" - ")
    fields = before.split(" ")
    if not dash or len(fields) < 5:  # noqa: PLR2004 - the fifth is the place
        return None
    place = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return Mount(place, behind.split(" ")[0])


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""
