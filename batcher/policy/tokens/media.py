"""Tokens of images, sounds and files in a request. See docs/providers.md#counting-tokens.

A provider counts a picture by its size, not by its base64 text. Base64 is recognized by its form: a `data:` URL or
a long run of its characters.
"""

import base64
import binascii
import re
from collections.abc import Callable
from math import ceil
from typing import Final

from msgspec import Struct

#: Tokens for each sound or file of any size, and for an image of a model whose rule is not known.
MEDIA_TOKENS: Final = 1_000
#: An image whose size is not known, such as one that is given by its address.
_ASSUMED_SIDE: Final = 1_024
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
#: Shorter runs of its characters may be a word, a name or an id.
_LEAST_RUN: Final = 512
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_LOOKED_AT: Final = 256
#: A run of one or two characters is no base64 of anything.
_LEAST_DIFFERENT: Final = 3
#: How the base64 text of an image begins: PNG, JPEG, GIF, WebP.
_IMAGE_STARTS: Final = ("iVBORw0", "/9j/", "R0lGOD", "UklGR")
#: Characters of base64 that are decoded to find an image's size; a JPEG may have a preview before it.
_HEADER: Final = 131_072


class _Tiles(Struct, frozen=True):
    """So many tokens for an image, and so many for each of its tiles of 512 by 512."""

    base: int
    tile: int

    def of(self, width: int, height: int, *, low: bool) -> int:
        if low:
            return self.base
        scale = min(1.0, 2_048 / max(width, height))
        scale = min(scale, 768 / min(width, height))
        return self.base + self.tile * ceil(width * scale / 512) * ceil(height * scale / 512)


class _Patches(Struct, frozen=True):
    """Tokens for each patch of 32 by 32, at most 1,536 patches."""

    factor: float

    def of(self, width: int, height: int, *, low: bool) -> int:
        scale = min(1.0, 512 / max(width, height)) if low else 1.0
        patches = ceil(width * scale / 32) * ceil(height * scale / 32)
        return ceil(min(patches, 256 if low else 1_536) * self.factor)


class _Area(Struct, frozen=True):
    """A token for so many pixels, within bounds."""

    pixels: int
    most: int

    def of(self, width: int, height: int, *, low: bool) -> int:  # noqa: ARG002 - the others' signature
        return max(1, min(self.most, ceil(width * height / self.pixels)))


class _Flat(Struct, frozen=True):
    """As many for every image."""

    tokens: int

    def of(self, width: int, height: int, *, low: bool) -> int:  # noqa: ARG002 - the others' signature
        return self.tokens


_Rule = _Tiles | _Patches | _Area | _Flat
#: By the model's name, without the provider's; the first that matches.
_RULES: Final[tuple[tuple[re.Pattern[str], _Rule], ...]] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"gpt-4o-mini", _Tiles(2_833, 5_667)),
        (r"gpt-4\.1-mini|gpt-5[\d.]*-mini", _Patches(1.62)),
        (r"gpt-4\.1-nano|gpt-5[\d.]*-nano", _Patches(2.46)),
        (r"o4-mini", _Patches(1.72)),
        (r"gpt-5", _Tiles(70, 140)),
        (r"o[13]", _Tiles(75, 150)),
        (r"computer-use", _Tiles(65, 129)),
        (r"gpt-4|chatgpt-4o", _Tiles(85, 170)),
        (r"claude", _Area(750, 1_600)),
        (r"glm-", _Flat(3_600)),
        (r"gemini", _Flat(258 * 4)),
    )
)
_PROVIDER: Final = re.compile(r"^(?:ft:|[\w.-]+/)*")


def is_base64(text: str) -> bool:
    """Return whether a text is base64: a `data:` URL, or one long run without a space."""
    if text.startswith(("data:", "DATA:")):
        return _DATA_URL.match(text) is not None
    if len(text) < _LEAST_RUN or len(set(text[:_LOOKED_AT])) < _LEAST_DIFFERENT:
        return False
    return _RUN.fullmatch(text) is not None


def base64_tokens(text: str, model: object) -> int:
    """Return the tokens of what a base64 text holds, by its kind."""
    found = _DATA_URL.match(text)
    content = text[found.end() :] if found is not None else text
    kind = "" if found is None or found[1] is None else found[1].lower()
    if kind.startswith("image/") or (not kind and content.startswith(_IMAGE_STARTS)):
        return image_tokens(content, model, low=False)
    return MEDIA_TOKENS


def image_tokens(image: str, model: object, *, low: bool) -> int:
    """Return the tokens of an image by the model's own rule. `image`: its address, `data:` URL or base64 text."""
    name = _PROVIDER.sub("", model) if isinstance(model, str) else ""
    rule = next((rule for pattern, rule in _RULES if pattern.match(name)), None)
    if rule is None:
        return MEDIA_TOKENS
    width, height = _size(image) or (_ASSUMED_SIDE, _ASSUMED_SIDE)
    return rule.of(width, height, low=low)


def _size(image: str) -> tuple[int, int] | None:
    """Return width and height of an image that is given as base64; None if they cannot be read."""
    found = _DATA_URL.match(image)
    if found is not None:
        image = image[found.end() :]
    elif not image.startswith(_IMAGE_STARTS):
        return None
    try:
        data = base64.b64decode(image[:_HEADER][: len(image) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    read = next((read for start, read in _SIZES if data.startswith(start)), None)
    size = None if read is None else read(data)
    return size if size is not None and min(size) > 0 else None


def _of_png(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _of_gif(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")


def _of_webp(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if data[12:16] == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _of_jpeg(data: bytes) -> tuple[int, int] | None:
    """Return the size in the first frame header; the segments before it are skipped."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004 - frame headers
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


_SIZES: Final[tuple[tuple[bytes, Callable[[bytes], tuple[int, int] | None]], ...]] = (
    (b"\x89PNG", _of_png),
    (b"\xff\xd8", _of_jpeg),
    (b"GIF8", _of_gif),
    (b"RIFF", _of_webp),
)
