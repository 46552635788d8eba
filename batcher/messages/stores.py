"""What to do about a store that cannot be opened, read or written."""

from collections.abc import Mapping
from typing import Final

from batcher.domain.messages import Cause
from batcher.messages.templates import Template

TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.LIST_FAILED: "`batcher dlq list` names those that failed",
    Cause.LIST_JOBS: "`batcher status` lists the jobs",
    Cause.MAKE_A_JOB: "`batcher run FILE` makes one",
    Cause.MORE_OPEN_FILES: (
        "raise the limit (`ulimit -n 4096`) and go on with `batcher resume`: nothing stored is lost"
    ),
    Cause.NEWER_PYTHON: "install batcher with a newer Python: `uv tool install --python 3.12 llm-batcher`",
    Cause.RUN_AS_OWNER: "run the command as {owner}, or choose another place with {--db}",
    Cause.OTHER_STORE_FILE: "name another file with {--db}",
    Cause.FREE_SPACE: "free some space, then `batcher resume`: nothing that was finished is lost",
    Cause.FILE_WRITABLE: "the file and its folder must be writable; or choose another place with {--db}",
    Cause.DISK_REFUSED: (
        "the disk refused it: see `batcher db check`, its quota, and its largest file (4 GiB on FAT)"
    ),
    Cause.NAME_STORE_FILE: "name a file with {--db}",
    Cause.OTHER_STORE_PLACE: "choose another place with {--db}",
    Cause.LOCAL_DISK: "name a place on a local disk: {--db} /var/tmp/batcher.db",
    Cause.NAME_OTHER_PLACE: "name another place with {--db}",
    Cause.LOCAL_DISK_FOR_STORE: (
        "name a place on a local disk: {--db} /var/tmp/batcher.db; job files and results may stay"
    ),
    Cause.SEVERAL_NAMES: (
        "`find . -samefile {path}` lists the names below a folder: remove all but one (`batcher db backup` "
        "makes a copy)"
    ),
    Cause.FOLDER_WRITABLE: (
        "the store's folder and the files in it must be writable; or choose another place with {--db}"
    ),
    Cause.OTHER_FILE_OR_FORCE: "name another file, or give {--force}",
    Cause.STORE_TOO_NEW: "upgrade batcher, or name another file with {--db}",
    Cause.UPGRADE_STORE: "run `batcher db upgrade`",
    Cause.WRITABLE_OR_COPY: (
        "the file and its folder must be writable; or copy the store and name the copy with {--db}"
    ),
    Cause.COPY_STORE: "copy {store} and {log} to a folder that is writable, and name the copy with {--db}",
    Cause.NO_STORE: "`batcher run FILE` creates one; or name another store with {--db} or BATCHER_DB",
}
