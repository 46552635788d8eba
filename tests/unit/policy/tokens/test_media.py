"""Images by the model's own rule, and base64 by its form, wherever it stands."""

import base64
import json
import struct

import pytest

from batcher.policy.tokens.estimate import counts_tokens, estimate
from batcher.policy.tokens.media import MEDIA_TOKENS, image_tokens, is_base64

CHAT = "/v1/chat/completions"
BYTES = bytes(range(256)) * 400
PDF = "data:application/pdf;base64," + base64.b64encode(BYTES).decode()
RUN = base64.b64encode(BYTES).decode()
URL = "https://example.com/a.jpg"


def png(width: int, height: int) -> str:
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + BYTES
    return "data:image/png;base64," + base64.b64encode(data).decode()


def jpeg(width: int, height: int) -> str:
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + b"\3" * 10
    return base64.b64encode(b"\xff\xd8\xff\xe1" + struct.pack(">H", 1002) + b"x" * 1000 + frame + BYTES).decode()


def gif(width: int, height: int) -> str:
    return base64.b64encode(b"GIF89a" + struct.pack("<HH", width, height) + BYTES).decode()


def webp(width: int, height: int) -> str:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return base64.b64encode(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + size + BYTES).decode()


@pytest.mark.parametrize(
    ("model", "image", "low", "tokens"),
    [
        ("gpt-4o-mini", URL, True, 2_833),
        ("gpt-4o-mini", URL, False, 2_833 + 4 * 5_667),
        ("gpt-4o", URL, True, 85),
        ("gpt-4o-2024-08-06", png(1_024, 1_024), False, 85 + 4 * 170),
        ("openai/gpt-4o", png(512, 512), False, 85 + 170),
        ("gpt-4.1", png(2_048, 4_096), False, 85 + 6 * 170),
        ("gpt-4.1-mini", png(1_024, 1_024), False, 1_659),
        ("o4-mini", png(4_096, 4_096), False, 2_642),
        ("gpt-5-mini", png(320, 320), False, 162),
        ("gpt-5", png(512, 512), False, 210),
        ("o3", png(512, 512), False, 225),
        ("claude-sonnet-4", png(750, 100), False, 100),
        ("anthropic/claude-sonnet-4", png(9_000, 9_000), False, 1_600),
        ("glm-4v-plus", URL, False, 3_600),
        ("a-model-of-ones-own", png(64, 64), False, MEDIA_TOKENS),
        ("gpt-4o", jpeg(512, 512), False, 255),
        ("gpt-4o", gif(512, 512), False, 255),
        ("gpt-4o", webp(512, 512), False, 255),
        ("gpt-4o", "data:image/png;base64,AAAA", False, 765),
        ("gpt-4o", "data:image/png;base64,é", False, 765),
        ("gpt-4o", png(0, 0), False, 765),
        (None, URL, False, MEDIA_TOKENS),
    ],
)
def test_an_image_counts_by_the_models_rule(model: object, image: str, low: bool, tokens: int) -> None:
    assert image_tokens(image, model, low=low) == tokens


IMAGES: list[dict[str, object]] = [
    {"type": "image_url", "image_url": {"url": png(512, 512)}},
    {"type": "image_url", "image_url": png(512, 512)},
    {"type": "input_image", "image_url": png(512, 512)},
    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": jpeg(512, 512)}},
    {"type": "computer_screenshot", "image_url": png(512, 512)},
]


@pytest.mark.parametrize("part", IMAGES, ids=[str(part)[:40] for part in IMAGES])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v4/chat/completions"])
def test_a_picture_is_known_in_every_spelling(path: str, part: dict[str, object]) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [part]}]}
    assert 255 <= estimate(path, body, len(json.dumps(body))).input_tokens <= 270


#: Where base64 stands in a body of some endpoint, known or not.
PLACES: list[tuple[str, dict[str, object]]] = [
    ("/v1/ocr", {"model": "ocr", "document": {"type": "document_url", "document_url": PDF}}),
    ("/v1/ocr", {"model": "ocr", "document": RUN}),
    ("/v1/images/edits", {"model": "m", "prompt": "x", "images": [{"image_url": PDF}]}),
    ("/v1/audio/transcriptions", {"model": "m", "file": RUN}),
    ("/score", {"model": "m", "data_1": {"content": [{"anything": PDF}]}}),
    ("/v1/embeddings", {"model": "m", "input": [PDF]}),
    ("/v1/embeddings", {"model": "m", "input": PDF}),
    ("/v1/messages", {"messages": [{"role": "user", "content": [{"type": "document", "source": {"data": RUN}}]}]}),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "custom", "payload": {"inner": [PDF]}}]}]}),
    ("/v1/responses", {"input": [{"type": "computer_call_output", "output": {"type": "x", "data": RUN}}]}),
]


@pytest.mark.parametrize(("path", "body"), PLACES)
def test_base64_counts_as_its_kind_wherever_it_stands(path: str, body: dict[str, object]) -> None:
    tokens = estimate(path, body, len(json.dumps(body))).input_tokens
    assert MEDIA_TOKENS <= tokens <= MEDIA_TOKENS + 60


@pytest.mark.parametrize("content", [PDF, [{"type": "text", "text": PDF}]], ids=["plain", "a part"])
def test_base64_in_a_text_is_text(content: object) -> None:
    """The provider reads it as such."""
    body = {"messages": [{"role": "user", "content": content}]}
    assert estimate(CHAT, body, len(PDF)).input_tokens > len(PDF) / 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data:image/png;base64,", True),
        ("data:;base64,AAAA", True),
        ("data:text/plain;charset=utf-8;base64,AAAA", True),
        ("data: the last column", False),
        (RUN, True),
        (RUN[:400], False),
        (RUN[:600].replace("A", " "), False),
        ("x" * 5_000, False),
        ("a sentence. " * 100, False),
        ("漢字" * 1_000, False),
    ],
)
def test_base64_is_known_by_its_form(text: str, found: bool) -> None:
    assert is_base64(text) is found


def test_a_path_whose_replies_count_no_tokens_is_known() -> None:
    assert counts_tokens(CHAT)
    assert counts_tokens("/openai/deployments/d/chat/completions")
    assert not counts_tokens("/v1/ocr")
    assert not counts_tokens("/v1/moderations")
