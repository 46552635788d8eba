"""What the command line calls an option of the message catalogue."""


def flag_name(flag: str, placeholder: str) -> str:
    """Return the flag, with the placeholder of its value."""
    return f"{flag} {placeholder}" if placeholder else flag
