"""Generates an instance of a JSON schema: valid for the simple schemas that structured outputs allow."""

from typing import Any

from batcher.simulate.content import SENTENCES
from batcher.simulate.draws import number

Schema = dict[str, Any]

#: Depth to which a recursive schema is followed; optional properties below it are omitted.
_DEEPEST = 8

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
}


class SchemaError(ValueError):
    """The value is not a JSON schema, or it refers to itself endlessly."""


def instance_of(schema: Schema, seed: bytes) -> object:
    """Return a value that matches `schema`; the same schema and seed give the same value. `pattern` is ignored.

    Raises SchemaError if the schema is invalid or endlessly recursive.
    """
    try:
        return _Maker(schema).make(schema, seed, 0)
    except RecursionError:
        raise SchemaError("the schema refers to itself endlessly") from None
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise SchemaError(f"the schema is not a JSON schema: {error}") from error


class _Maker:
    """Generates values for one schema; the root is kept to resolve `$ref`."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def make(self, schema: Schema | bool, seed: bytes, depth: int) -> object:
        """Return a value for a part of the schema; null for `true` and `false`."""
        if isinstance(schema, bool):
            return None
        plain = self._plain(schema, depth)
        match plain:
            case {"const": value}:
                return value
            case {"enum": list(values)} if values:
                return values[number(seed, "enum") % len(values)]
            case _:
                return self._typed(plain, seed, depth)

    def _plain(self, schema: Schema, depth: int) -> Schema:
        """Resolve references, choices (`anyOf`, `oneOf`) and combinations (`allOf`)."""
        match schema:
            case {"$ref": str(ref)}:
                return self._plain(self._resolve(ref), depth)
            case {"anyOf": list(choices)} | {"oneOf": list(choices)} if choices:
                return self._plain(_shallowest(choices, depth), depth)
            case {"allOf": list(parts)}:
                return self._plain(_merged(schema, [self._plain(part, depth) for part in parts]), depth)
            case _:
                return schema

    def _typed(self, schema: Schema, seed: bytes, depth: int) -> object:
        match _kind(schema, depth):
            case "object":
                return self._object(schema, seed, depth)
            case "array":
                return self._array(schema, seed, depth)
            case kind:
                return _scalar(kind, schema, seed)

    def _object(self, schema: Schema, seed: bytes, depth: int) -> dict[str, object]:
        properties: Schema = schema.get("properties", {})
        wanted = properties if depth < _DEEPEST else schema.get("required", ())
        return {name: self.make(properties.get(name, {}), seed + name.encode(), depth + 1) for name in wanted}

    def _array(self, schema: Schema, seed: bytes, depth: int) -> list[object]:
        least = schema.get("minItems", 1 if depth < _DEEPEST else 0)
        count = min(least, schema.get("maxItems", least))
        items: Schema = schema.get("items", {"type": "string"})
        return [self.make(items, seed + b"%d" % index, depth + 1) for index in range(count)]

    def _resolve(self, ref: str) -> Schema:
        found: Any = self._root
        for name in ref.removeprefix("#").strip("/").split("/"):
            found = found.get(name, {}) if name else found
        return dict(found)


def _scalar(kind: str, schema: Schema, seed: bytes) -> object:
    match kind:
        case "string":
            return _string(schema, seed)
        case "integer":
            return int(_within(schema, number(seed, "integer") % 10, 1))
        case "number":
            return _within(schema, number(seed, "number") % 100 / 10, 0.1)
        case "boolean":
            return number(seed, "boolean") % 2 == 0
        case _:
            return None


def _kind(schema: Schema, depth: int) -> str:
    match schema.get("type"):
        case str(kind):
            return kind
        case list(kinds) if kinds:
            return "null" if depth >= _DEEPEST and "null" in kinds else str(kinds[0])
        case _:
            return "object" if "properties" in schema else "string"


def _shallowest(choices: list[Schema], depth: int) -> Schema:
    """Return the first choice; below the maximum depth, null if it is a choice, to end the recursion."""
    ends = [choice for choice in choices if choice.get("type") == "null"]
    return ends[0] if depth >= _DEEPEST and ends else choices[0]


def _merged(schema: Schema, parts: list[Schema]) -> Schema:
    merged: Schema = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        merged = {**merged, **part, **({"properties": properties} if properties else {})}
    return merged


def _string(schema: Schema, seed: bytes) -> str:
    known = _FORMATS.get(schema.get("format", ""))
    if known is not None:
        return known
    text = SENTENCES[number(seed, "string") % len(SENTENCES)]
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]


def _within(schema: Schema, drawn: float, step: float) -> float:
    """Move a number inside the schema's bounds, and up to the next multiple if there is a `multipleOf`."""
    low = max(schema.get("minimum", -1e308), schema.get("exclusiveMinimum", -1e308) + step)
    high = min(schema.get("maximum", 1e308), schema.get("exclusiveMaximum", 1e308) - step)
    value = min(max(drawn, low), high)
    multiple = schema.get("multipleOf")
    if not multiple:
        return float(round(value, 6))
    rest = value % multiple
    return float(value if rest == 0 else value - rest + multiple)
