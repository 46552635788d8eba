"""What is said of dead letters that went back to pending."""

from batcher.cli.terminal.output import number, say
from batcher.services.dead_letters.retry import Retried


def say_retried(done: Retried) -> None:
    """What went back, and who sends it."""
    rows = "1 dead letter is" if done.count == 1 else f"{number(done.count)} dead letters are"
    say(f"{rows} pending again, with all attempts")
    if done.runner is not None:
        say(f"the runner that works the store (pid {done.runner}) takes them")
    elif done.jobs:
        say(f"next: batcher resume {' '.join(str(job) for job in done.jobs)}")
