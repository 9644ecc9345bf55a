"""Files of every kind and every kind of broken file: what is read, and which line is blamed."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replank.data.tables import read_table
from replank.system.errors import DataError, UsageError

# Everything that UTF-8 can hold: emoji, NUL, line separators, right-to-left marks.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_tsv_is_read_as_it_is(tmp_path: Path) -> None:
    """No quoting, and no line ends but LF and CRLF: a text may hold any other."""
    content = 'sentence\tlabel\n"he said\t1\nsplit\u2028here\x0c\x85\t0\n\n"a" ""b""\t 1 \n'
    table = read_table(write(tmp_path, "a.tsv", content))
    assert table.columns == ("sentence", "label")
    assert table.rows == [('"he said', "1"), ("split\u2028here\x0c\x85", "0"), ('"a" ""b""', " 1 ")]
    assert table.lines == [2, 3, 5]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_windows_files_are_read_alike(tmp_path: Path, name: str) -> None:
    separator = "\t" if name == "a.tsv" else ","
    content = f"text{separator}label\r\na{separator}1\r\nb{separator}0\r\n"
    table = read_table(write(tmp_path, name, b"\xef\xbb\xbf" + content.encode()))
    assert (table.columns, table.rows) == (("text", "label"), [("a", "1"), ("b", "0")])


def test_a_byte_order_mark_is_no_part_of_json(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"text": "a"}\r\n'))
    assert (table.columns, table.rows) == (("text",), [("a",)])


def test_a_csv_holds_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    content = 'text,label\n"one, ""two""\nthree",1\n\nplain,0\n'
    table = read_table(write(tmp_path, "a.csv", content))
    assert table.rows == [('one, "two"\nthree', "1"), ("plain", "0")]
    assert table.lines == [2, 5]


def test_a_csv_may_end_its_lines_in_any_way(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        table = read_table(write(tmp_path, "a.csv", end.join(["text,label", '"a\nb",1', "c,0", ""])))
        assert table.rows == [("a\nb", "1"), ("c", "0")]


def test_json_values_become_texts(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": True, "c": None}, {"a": 1.0, "b": False, "c": "x"}, {"a": 0.25, "b": "true", "c": [1, "ü"]}]
    content = "\n\n".join(map(json.dumps, rows))
    table = read_table(write(tmp_path, "a.jsonl", content))
    assert table.columns == ("a", "b", "c")
    assert table.rows == [("1", "true", None), ("1", "false", "x"), ("0.25", "true", [1, "ü"])]
    assert table.lines == [1, 3, 5]


def test_what_a_json_line_lacks_is_nothing(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.jsonl", '{"a": "nan", "b": NaN}\n{"b": 2}\n'))
    assert table.rows == [("nan", None), (None, "2")]


def test_half_a_character_in_json_is_replaced(tmp_path: Path) -> None:
    content = r'{"text": "a\ud83d b", "label": "\ud83d\ude00"}'
    assert read_table(write(tmp_path, "a.jsonl", content)).rows == [("a\ufffd b", "😀")]


def test_a_key_that_later_lines_add_is_passed_over(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.jsonl", '{"a": "1"}\n{"b": "2", "a": "3"}\n'))
    assert (table.columns, table.rows) == (("a",), [("1",), ("3",)])


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_survives_csv_and_json(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
    assert read_table(write(tmp_path, "a.csv", buffer.getvalue())).rows == rows
    lines = [json.dumps({"one": one, "two": two}, ensure_ascii=False) for one, two in rows]
    assert read_table(write(tmp_path, "a.jsonl", "\n".join(lines))).rows == rows


@given(content=st.binary(max_size=200), suffix=st.sampled_from([".tsv", ".csv", ".jsonl"]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = write(tmp_path, f"a{suffix}", content)
    try:
        table = read_table(path)
    except DataError as error:
        assert str(path) in error.message
    else:
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert len(table.lines) == len(table.rows) > 0


def test_a_column_is_found_by_name(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.csv", "x,y\n1,2\n3,4\n"))
    assert table.column("y") == ["2", "4"]
    with pytest.raises(DataError, match=r"a\.csv has no column 'z'; its columns are 'x', 'y'") as refusal:
        table.column("z")
    assert refusal.value.hint == "name the columns with `text`, `text_pair` and `label`"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "is empty"),
        ("a.jsonl", " \n\n", "is empty"),
        ("a.csv", b"\xef\xbb\xbf", "is empty"),
        ("a.tsv", "text\tlabel\n", "has a header and no rows"),
        ("a.csv", "text,label", "has a header and no rows"),
        ("a.tsv", "text\tlabel\na\t1\nb\n", "line 3: 1 values where the header names 2 columns"),
        ("a.tsv", "text\tlabel\na\tb\t1\n", "line 2: 3 values where the header names 2 columns"),
        ("a.csv", 'text,label\n"a\nb",1\nc,d,0\n', "line 4: 3 values where the header names 2 columns"),
        ("a.csv", "text,text\na,1\n", "names a column twice: 'text', 'text'"),
        ("a.csv", 'text,label\na,1\n"b,0\n', "is not CSV: the row that starts on line 3: unexpected end of data"),
        ("a.csv", 'text,label\n"a"b,1\n', "is not CSV: the row that starts on line 2: ',' expected after '\"'"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2 is not JSON: Expecting value"),
        ("a.jsonl", '{"a": 1, "b": 2, "a": 3}\n', "line 1 is not JSON: the key 'a' occurs twice"),
        ("a.jsonl", "\n[1, 2]\n", r"line 2: expected a JSON object with one value a column, found '[1, 2]'"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON: maximum recursion depth exceeded"),
        ("a.jsonl", f'{{"a": 1{"0" * 5000}}}', "line 1 is not JSON: Exceeds the limit"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))},? {re.escape(message)}"):
        read_table(path)


def test_a_ragged_csv_row_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2") as refusal:
        read_table(write(tmp_path, "a.csv", "text,label\na,b,1\n"))
    assert refusal.value.hint == "a value that holds a comma, a quote or a line break stands in double quotes"


def test_a_ragged_tsv_row_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2") as refusal:
        read_table(write(tmp_path, "a.tsv", "text\tlabel\na\n"))
    assert refusal.value.hint == (
        "values in a .tsv file cannot hold tabs or line breaks, and quotes have no meaning there; use .csv or .jsonl"
    )


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_what_is_not_utf8_is_named_by_line_and_byte(tmp_path: Path, suffix: str, mark: bytes) -> None:
    lines = ["text", "gut", "café"] if suffix != ".jsonl" else ['{"a": ""}', '{"a": "gut"}', '{"a": "café"}']
    content = mark + "\n".join(lines).encode("latin1")
    path = write(tmp_path, f"a{suffix}", content)
    where = f"line 3 holds the byte 0xe9 at byte {content.index(0xE9)} of the file"
    with pytest.raises(DataError, match=f"{re.escape(str(path))} is not UTF-8: {where}") as refusal:
        read_table(path)
    assert refusal.value.hint == f"convert it, for example: iconv -f latin1 -t utf-8 {path} > utf8{suffix}"


def test_utf16_is_recognized(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1 holds the byte 0xff at byte 0") as refusal:
        read_table(path := write(tmp_path, "a film.csv", "text\na\n".encode("utf-16")))
    assert refusal.value.hint == f"convert it, for example: iconv -f utf-16 -t utf-8 '{path}' > utf8.csv"


def test_bytes_that_are_no_text_are_not_to_be_converted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no text: line 1 holds bytes that no text has"):
        read_table(write(tmp_path, "a.csv", b"PK\x03\x04\xff\xfe\n"))


@pytest.mark.parametrize(
    ("name", "content", "found", "expected"),
    [
        ("a.csv", "text;label\na, b;1\n", "semicolons", "commas"),
        ("a.csv", "text\tlabel\na\t1\n", "tabs", "commas"),
        ("a.csv", "text|label\na|1\n", "bars", "commas"),
        ("a.tsv", "text,label\na,1\n", "commas", "tabs"),
    ],
)
def test_another_separator_is_named(tmp_path: Path, name: str, content: str, found: str, expected: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))} has {found} between its values; expected {expected}"):
        read_table(path)


def test_other_separators_may_stand_in_names_of_several_columns(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a.csv", "text;x,label\na,1\n")).columns == ("text;x", "label")


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.txt: the suffix must be one of \.tsv, \.csv, \.jsonl, \.parquet"):
        read_table(write(tmp_path, "a.txt", "text\na\n"))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*a\.tsv") as missing:
        read_table(tmp_path / "a.tsv")
    assert missing.value.hint is None
    for name in (*"cdefgh", "g.txt"):
        (tmp_path / f"{name}.csv").touch()
    with pytest.raises(DataError) as missing:
        read_table(tmp_path / "a.tsv")
    assert missing.value.hint == f"{tmp_path} has c.csv, d.csv, e.csv, f.csv, g.csv and 2 more"
    (tmp_path / "b.tsv").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*b\.tsv: Is a directory"):
        read_table(tmp_path / "b.tsv")
