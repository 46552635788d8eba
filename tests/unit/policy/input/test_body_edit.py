"""A body changed at dotted paths: what is meant changes, and not a byte beside it."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.errors import UsageError
from batcher.policy.input.body_edit import CannotEdit, Edit, edited, read_move, read_set, read_unset, shown

BODY = (
    b'{ "model" : "a",\t"n":1.50,"messages": [ {"role":"user", "content":"x, ]"} , {"content": null}], "o": {} }'
)


def set_(body: bytes, *texts: str) -> bytes:
    return edited(body, [read_set(text) for text in texts])


def unset(body: bytes, *texts: str) -> bytes:
    return edited(body, [read_unset(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ('model="b"', b'"a"', b'"b"'),
        ("model=b", b'"a"', b'"b"'),
        ("n=2.50", b"1.50", b"2.50"),
        ("n=123456789012345678901234567890", b"1.50", b"123456789012345678901234567890"),
        ("messages.0.content=y", b'"x, ]"', b'"y"'),
        ("messages.1.content=[1, 2]", b"null", b"[1, 2]"),
        ('messages.1={"role": "user"}', b'{"content": null}', b'{"role": "user"}'),
        ("messages.0.role=a=b", b'"user"', b'"a=b"'),
        ("o=", b"{}", b'""'),
        ("n=NaN", b"1.50", b'"NaN"'),
        ('n={"a": 1', b"1.50", b'"{\\"a\\": 1"'),
        ("n= true ", b"1.50", b"true"),
        ('n={"a":\n 1}', b"1.50", b'{"a":  1}'),
        ("n=ü", b"1.50", '"ü"'.encode()),
    ],
)
def test_only_the_value_changes(text, old, new):
    assert BODY.count(old) == 1
    assert set_(BODY, text) == BODY.replace(old, new)


@pytest.mark.parametrize(
    ("body", "text", "result"),
    [
        (b'{"a": 1}', "b=2", b'{"a": 1, "b": 2}'),
        (b'{"a": 1 }', "b=2", b'{"a": 1, "b": 2 }'),
        (b"{}", "b=2", b'{"b": 2}'),
        (b"{ }", "b=2", b'{"b": 2 }'),
        (b'{"o": {}}', "o.b=2", b'{"o": {"b": 2}}'),
        (b'{"a": 1}', "o.b.c=2", b'{"a": 1, "o": {"b": {"c": 2}}}'),
        (b'{"a": 1}', "logit_bias.50256=-100", b'{"a": 1, "logit_bias": {"50256": -100}}'),
        (b'{"l": [{"a": 1}]}', "l.0.b=x", b'{"l": [{"a": 1, "b": "x"}]}'),
        (b'{"a": 1}', r"x\.y=2", b'{"a": 1, "x.y": 2}'),
        (b'{"x.y": 1}', r"x\.y=2", b'{"x.y": 2}'),
        (b'{"x=y": 1}', r"x\=y=2", b'{"x=y": 2}'),
        (b'{"x\\\\y": 1}', r"x\\y=2", b'{"x\\\\y": 2}'),
        (b'{"\\u0061": 1}', "a=2", b'{"\\u0061": 2}'),
        (b'{"a": 1}', 'q"t=2', b'{"a": 1, "q\\"t": 2}'),
    ],
)
def test_a_member_that_is_missing_is_made_at_the_end_of_its_object(body, text, result):
    assert set_(body, text) == result


@pytest.mark.parametrize(
    ("body", "path", "result"),
    [
        (b'{"a": 1, "b": 2}', "a", b'{"b": 2}'),
        (b'{"a": 1, "b": 2}', "b", b'{"a": 1}'),
        (b'{"a": 1}', "a", b"{}"),
        (b'{"a": 1, "b": 2, "c": 3}', "b", b'{"a": 1, "c": 3}'),
        (b'{"o": {"a": [1, 2]}}', "o.a.0", b'{"o": {"a": [2]}}'),
        (b'{"o": {"a": [1, 2]}}', "o.a.1", b'{"o": {"a": [1]}}'),
        (b'{"o": {"a": [ 1 ]}}', "o.a.0", b'{"o": {"a": [  ]}}'),
        (b'{"a": 1}', "b", b'{"a": 1}'),
        (b'{"a": 1}', "b.c.0", b'{"a": 1}'),
        (b'{"a": 1, "b": 0, "a": 2}', "a", b'{"b": 0}'),
    ],
)
def test_what_is_unset_is_gone_with_its_comma(body, path, result):
    assert unset(body, path) == result


def test_of_a_key_that_stands_twice_the_last_is_set():
    assert set_(b'{"a": 1, "b": 0, "a": 2}', "a=3") == b'{"a": 1, "b": 0, "a": 3}'


def test_items_taken_out_together_have_the_numbers_of_the_body_as_given():
    body = b'{"l": [0, 1, 2, {"x": 3, "y": 4}], "m": [5, 6]}'
    assert unset(body, "l.0", "l.2", "m.0") == b'{"l": [1, {"x": 3, "y": 4}], "m": [6]}'
    assert unset(body, "l.3", "l.3.x") == unset(body, "l.3.x", "l.3") == b'{"l": [0, 1, 2], "m": [5, 6]}'


def test_values_are_set_before_items_are_taken_out():
    body = b'{"l": [0, 1, 2]}'
    assert edited(body, [read_unset("l.0"), read_set("l.1=7")]) == b'{"l": [7, 2]}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model.x=1", "`model` is a string; it has no `x`"),
        ("n.x=1", "`n` is a number; it has no `x`"),
        ("messages.1.content.text=1", "`messages.1.content` is null; it has no `text`"),
        ("messages.2=1", "`messages` has 2 items, numbered from 0; there is no item 2"),
        ("messages.99999999999999999999=1", "there is no item 99999999999999999999"),
        ("messages.last=1", "`messages` is a list; `last` is not the number of an item"),
        ("messages.-1=1", "`messages` is a list; `-1` is not the number of an item"),
        ("messages.²=1", "`messages` is a list; `²` is not the number of an item"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(text, says):
    with pytest.raises(CannotEdit) as refused:
        set_(BODY, text)
    assert says in refused.value.reason
    with pytest.raises(CannotEdit, match=r"it has no|there is no item|not the number"):
        unset(BODY, text.partition("=")[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model", "has no `=`"),
        ("=1", "a part of the path is empty"),
        ("a..b=1", "a part of the path is empty"),
        ("a.=1", "a part of the path is empty"),
        (".a=1", "a part of the path is empty"),
        ("a=\udcff", "not UTF-8"),
        (".".join("a" * 101) + "=1", "deeper than 100"),
        ("a\\", "has no `=`"),
    ],
)
def test_an_option_that_is_written_wrongly_is_refused(text, says):
    with pytest.raises(UsageError, match=says):
        read_set(text)


def test_a_lone_backslash_ends_no_path():
    with pytest.raises(UsageError, match="lone backslash"):
        read_unset("a\\")


names = st.one_of(
    st.sampled_from(["a", "b", "0", "1", "x.y", "=", "\\", '"', "ü", "\n"]), st.text(min_size=1, max_size=3)
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
bodies = st.dictionaries(names, values, min_size=1, max_size=4)


def spelled(value: Any, spacing: tuple[str, str], indent: int | None) -> bytes:
    return json.dumps(value, separators=spacing, indent=indent, ensure_ascii=False).encode()


spellings = st.builds(
    lambda spacing, indent: (spacing, indent),
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", "  :\t")]),
    st.sampled_from([None, 1]),
)


@st.composite
def places(draw: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A body, and the path of something that stands in it."""
    body: Any = draw(bodies)
    path: list[str] = []
    at: Any = body
    while at and isinstance(at, dict | list) and (not path or draw(st.booleans())):
        step: Any = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        path.append(str(step))
        at = at[step]
    return body, tuple(path)


def stepped(at: Any, step: str) -> Any:
    return int(step) if isinstance(at, list) else step


def parent_of(body: Any, path: tuple[str, ...]) -> Any:
    for step in path[:-1]:
        body = body[stepped(body, step)]
    return body


@given(places(), values, spellings)
def test_setting_is_what_a_dict_would_do_and_keeps_every_other_byte(place, value, spelling):
    body, path = place
    raw = spelled(body, *spelling)
    replaced = json.loads(raw)
    parent_of(replaced, path)[stepped(parent_of(replaced, path), path[-1])] = value
    new = spelled(value, (",", ":"), None)
    result = edited(raw, [Edit(path=path, value=new)])
    assert json.loads(result) == json.loads(spelled(replaced, *spelling))
    # What stands before and behind the value is what stood there.
    old = len(raw) + len(new) - len(result)
    splits = [at for at in range(len(result) - len(new) + 1) if raw[:at] + new + raw[at + old :] == result]
    assert splits != []


@given(places(), spellings)
def test_unsetting_is_what_a_dict_would_do_and_only_takes_bytes_away(place, spelling):
    body, path = place
    raw = spelled(body, *spelling)
    rest = copy.deepcopy(body)
    del parent_of(rest, path)[stepped(parent_of(rest, path), path[-1])]
    result = edited(raw, [Edit(path=path, value=None)])
    assert json.loads(result) == json.loads(spelled(rest, *spelling))
    taken = len(raw) - len(result)
    assert any(raw[:at] + raw[at + taken :] == result for at in range(len(result) + 1))


@given(places(), spellings)
def test_setting_what_stands_there_changes_nothing(place, spelling):
    body, path = place
    raw = spelled(body, *spelling)
    once = edited(raw, [Edit(path=path, value=b"1")])
    assert edited(once, [Edit(path=path, value=b"1")]) == once


@given(st.lists(names, min_size=1, max_size=5))
def test_a_path_is_read_as_it_is_shown(path):
    assert read_unset(shown(path)).path == tuple(path)


@given(st.text())
def test_whatever_is_given_as_a_value_is_json_on_one_line(text):
    try:
        edit = read_set(f"a={text}")
    except UsageError:
        return
    assert edit.value is not None
    assert b"\n" not in edit.value
    json.loads(edit.value)


@pytest.mark.parametrize(
    ("body", "moves", "result"),
    [
        (
            b'{"max_tokens": 5, "n": 1}',
            ["max_tokens=max_completion_tokens"],
            b'{"n": 1,"max_completion_tokens":5}',
        ),
        (b'{"n": 1}', ["max_tokens=max_completion_tokens"], b'{"n": 1}'),
        (b'{"a": {"b": 1e3}}', ["a.b=c.d"], b'{"a": {},"c":{"d":1e3}}'),
        (b'{"a": 1, "b": 2}', ["a=b"], b'{"b": 1}'),
        (b'{"a": 1}', ["a=a.b"], b'{"a":{"b":1}}'),
        (b'{"a": [1, 2]}', ["a.1=b", "a.0=c"], b'{"a": [],"b":2,"c":1}'),
    ],
)
def test_a_value_is_moved_as_it_is_spelled(body: bytes, moves: list[str], result: bytes) -> None:
    found = edited(body, [read_move(move) for move in moves])
    assert found.replace(b" ", b"") == result.replace(b" ", b"")


def test_a_move_comes_before_what_is_set_and_removed() -> None:
    edits = [read_unset("c"), read_set("a=2"), read_move("a=b")]
    assert json.loads(edited(b'{"a": 1, "c": 3}', edits)) == {"b": 1, "a": 2}


@pytest.mark.parametrize("text", ["max_tokens", "=b", "a=", "a..b=c"])
def test_a_move_without_two_paths_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_move(text)
