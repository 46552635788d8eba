"""A key that cannot be printed by accident."""


class Secret:
    """Holds a key; its repr, str and format are masked. Only the sender calls `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself, for the request's header and for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "[key]"

    def __format__(self, spec: str) -> str:
        return format("[key]", spec)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a Secret cannot be pickled")
