"""The child process: validates one answer after the other, each within a limit of CPU time.

It limits itself: a timer of the system ends the process even inside a regular expression that never returns, and
also if the parent is gone. The parent sees the connection close.
"""

import signal
import socket
import sys
import threading
from struct import Struct as Packed
from typing import Final

from batcher.policy.classify.structured_output import UncheckableError, flaw_in

#: Seconds of CPU for one answer. Common answers take a thousandth of that.
CPU_SECONDS: Final = 2.0
#: Sizes of a request and of a reply, in bytes.
QUESTION: Final = Packed("<QQ")
#: The kind of a verdict, and the size of its text.
VERDICT: Final = Packed("<cQ")
VALID, FLAWED, UNCHECKED = b"v", b"f", b"u"

#: jsonschema recurses about ten frames for each level of a document. The stack must hold them: its default would
#: overflow before the interpreter notices.
_FRAMES: Final = 20_000
#: The smaller ones where memory is limited (`ulimit -v`), with as many fewer frames.
_STACKS_BYTES: Final = (512 << 20, 128 << 20, 32 << 20)


def main() -> None:
    """Serve the socket that is the standard input until it is closed."""
    # Ctrl-C goes to the parent, which decides. The timer must end the process whatever was inherited.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    connection = socket.socket(fileno=0)
    for size in _STACKS_BYTES:
        sys.setrecursionlimit(_FRAMES * size // _STACKS_BYTES[0])
        threading.stack_size(size)
        thread = threading.Thread(target=_serve, args=(connection,))
        try:
            thread.start()
        except RuntimeError:
            continue
        thread.join()
        return


def _serve(connection: socket.socket) -> None:
    # Importing the validator takes CPU time, which must not count towards the limit of the first answer.
    _verdict(b'{"response_format": {"type": "json_object"}}', b'{"choices": [{"message": {"content": "{}"}}]}')
    with connection, connection.makefile("rb") as questions:
        while head := questions.read(QUESTION.size):
            request_size, reply_size = QUESTION.unpack(head)
            request, reply = questions.read(request_size), questions.read(reply_size)
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            kind, text = _verdict(request, reply)
            signal.setitimer(signal.ITIMER_PROF, 0)
            said = text.encode("utf-8", "replace")
            connection.sendall(VERDICT.pack(kind, len(said)) + said)


def _verdict(request: bytes, reply: bytes) -> tuple[bytes, str]:
    try:
        flaw = flaw_in(reply, request=request)
    except UncheckableError as error:
        return UNCHECKED, str(error)
    return (VALID, "") if flaw is None else (FLAWED, flaw)
