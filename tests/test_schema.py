"""JSON from outside: what is refused, and how the place is named."""

import json

import pytest

from minigrad.schema import Also, Mismatch, check, loads

KIND = {"name": str, "size?": int, "rows": [{"at": float, "note": (str, None)}],
        "table": {str: [float]}, "on": bool, "free": object,
        "share": Also(float, lambda v: 0 <= v <= 1, "a share from 0 to 1"),
        "some": (None, [int], {"deep": [str]})}
RIGHT = {"name": "x", "rows": [{"at": 1, "note": None}, {"at": 0.5, "note": "n", "more": 3}],
         "table": {"a": [], "b": [1, 2.5]}, "on": True, "free": [{}], "share": 0.5,
         "some": {"deep": ["x"]}}


def test_what_is_right_passes():
    check(RIGHT, KIND)
    check(RIGHT | {"size": 3, "some": [1]}, KIND, "settings")
    check(loads(json.dumps(RIGHT)), KIND)


@pytest.mark.parametrize(("change", "told"), [
    ({"name": 5}, "name: expected a text; got 5"),
    ({"name": None}, "name: expected a text; got null"),
    ({"size": 1.5}, "size: expected a whole number; got 1.5"),
    ({"size": True}, "size: expected a whole number; got true"),
    ({"rows": {}}, "rows: expected a list; got an object"),
    ({"rows": [{"note": None}]}, "rows[0].at: is missing"),
    ({"rows": [{"at": False, "note": None}]}, "rows[0].at: expected a number; got false"),
    ({"rows": [{"at": 1, "note": 2}]}, "rows[0].note: expected a text or null; got 2"),
    ({"table": {"a": [1, "2"]}}, 'table.a[1]: expected a number; got "2"'),
    ({"on": 1}, "on: expected true or false; got 1"),
    ({"share": 1.5}, "share: expected a share from 0 to 1; got 1.5"),
    ({"some": {"deep": [1]}}, "some.deep[0]: expected a text; got 1"),
    ({"some": "x"}, 'some: expected null or a list or an object; got "x"'),
])
def test_what_is_wrong_is_named_with_its_place(change, told):
    with pytest.raises(Mismatch) as info:
        check(RIGHT | change, KIND)
    assert str(info.value) == told
    with pytest.raises(Mismatch) as info:
        check({"outer": RIGHT | change}, {"outer": KIND}, "file")
    assert str(info.value) == f"file.outer.{told}"


@pytest.mark.parametrize(("text", "told"), [
    ("", "is not JSON"), ("{", "is not JSON"), (b"\xff", "is not JSON"), ("1 2", "is not JSON"),
    ("[" * 100_000, "is not JSON"), ('{"a":' * 100_000, "is not JSON"),
    ("[NaN]", "is not JSON, which has no NaN"), ("-Infinity", "is not JSON, which has no -Inf"),
    ("9" * 5000, "too large"), ("9" * 400, "too large"), ("1e999", "too large")])
def test_what_is_no_json_is_refused(text, told):
    with pytest.raises(Mismatch) as info:
        loads(text)
    assert told in str(info.value)


@pytest.mark.parametrize("value", ["\n" * 1000, "é\u2028" * 99, [1] * 999, {}, 1e300, -7, True])
def test_a_message_is_short_and_one_line_whatever_the_value_is(value):
    with pytest.raises(Mismatch) as info:
        check({"a": [value]}, {"a": [None]})
    assert str(info.value).startswith("a[0]: expected null; got ")
    assert len(str(info.value)) < 300
    assert len(str(info.value).splitlines()) == 1


def test_a_key_of_the_data_is_shown_as_it_would_be_written():
    with pytest.raises(Mismatch) as info:
        check(RIGHT | {"table": {"a\n<b>" * 99: 3}}, KIND)
    told = str(info.value)
    assert told.startswith('table."a\\n<b>a\\n<b>')
    assert len(told) < 120
