"""A job file looked at without a store or a network: what is wrong with it, and what it will take."""

from collections.abc import Iterator
from hashlib import sha256

from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.domain.requests import BadLine, ParsedLine
from batcher.domain.settings import JobSettings, limits_for
from batcher.files.reading import read_lines
from batcher.files.source import Source
from batcher.policy.fingerprint import fingerprint
from batcher.policy.repeats import samples_at_random
from batcher.policy.seen import KEY_BYTES, Seen
from batcher.policy.workload import Load, binding_limit
from batcher.services.submitting import checked_lines, shares_answer
