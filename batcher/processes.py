"""What the system says about other processes."""

from pathlib import Path


def is_stopped(pid: int) -> bool:
    """Return whether the process is stopped; False if the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # The name, in brackets, may contain anything; the state is the letter after it.
    return stat.rpartition(")")[2].split()[0] in {"T", "t"}
