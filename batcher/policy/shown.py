"""A base URL as notes and bundles may show it."""

from typing import Final

#: Parameters whose value is no secret.
_PLAIN: Final = frozenset({"api-version", "version"})


def shown_base_url(base_url: str) -> str:
    """The URL with `…` in the place of its query's values, which may be keys; `api-version` stays."""
    base, mark, query = base_url.partition("?")
    return base + mark + "&".join(_shown(part) for part in query.split("&"))


def _shown(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    if name in _PLAIN:
        return parameter
    return f"{name}=…" if sign else "…" if name else ""
