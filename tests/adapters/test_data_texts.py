"""Texts and rows: what is read, in what order, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thermoscan.errors import DataError, SourceError, SourceNotFoundError, ThermoscanError
from thermoscan.limits import DataLimits
from thermoscan.plugins import data_reader_for
from thermoscan.probe.subject import Examples


def read(path: Path, inputs: int = 1000, **limits: int) -> Examples:
    return data_reader_for(str(path)).read(str(path), inputs, DataLimits(**limits))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **limits: int) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        read(path, **limits)
    return caught.value


def test_paragraphs_of_a_text_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "\ufeffone\r\ntwo\r\n\r\n \t\r\nthree\n\n\nvier: ü\n")
    found = read(path)
    assert found.texts == ("one\ntwo", "three", "vier: ü")
    assert (found.labels, found.description) == ((), "a.txt")
    assert read(path, 2).texts == ("one\ntwo", "three")


def test_rows_of_json_lines(tmp_path: Path) -> None:
    rows = '{"text": "a\\nb", "label": "x", "id": 3}\n\n{"label": 7, "text": ""}'
    found = read(write(tmp_path, "a.jsonl", rows))
    assert (found.texts, found.labels) == (("a\nb", ""), ("x", "7"))


def test_rows_of_a_csv_file(tmp_path: Path) -> None:
    rows = 'id,text,label\r\n1,"a, ""b""\r\nc",x\r\n2,d,y\r\n'
    found = read(write(tmp_path, "a.CSV", rows))
    assert (found.texts, found.labels) == (('a, "b"\nc', "d"), ("x", "y"))
    found = read(write(tmp_path, "b.csv", "text\na\nb\n"))
    assert (found.texts, found.labels) == (("a", "b"), ())


def test_reading_stops_at_the_last_example_that_is_wanted(tmp_path: Path) -> None:
    rows = '{"text": "a"}\n' * 3 + "broken\n"
    path = write(tmp_path, "a.jsonl", rows)
    assert len(read(path, 3).texts) == 3
    assert refusal(path).code == "row-malformed"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", "", "data-empty"),
        ("a.txt", "\n \n\n", "data-empty"),
        ("a.txt", b"fine\n\nb\xff\xfe", "data-not-utf8"),
        ("a.txt", "one\n\n".encode("utf-16"), "data-not-utf8"),
        ("a.jsonl", "", "data-empty"),
        ("a.jsonl", "[1]", "row-malformed"),
        ("a.jsonl", '{"text": NaN}', "row-malformed"),
        ("a.jsonl", '{"text": "a", "text": "b"}', "row-malformed"),
        ("a.jsonl", '{"text": "a", "x": ' + "[" * 5000 + "]" * 5000 + "}", "row-malformed"),
        ("a.jsonl", '{"text": 3}', "row-without-text"),
        ("a.jsonl", '{"label": 3}', "row-without-text"),
        ("a.jsonl", '{"text": "a", "label": 1.5}', "row-malformed"),
        ("a.jsonl", '{"text": "a", "label": true}', "row-malformed"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', "label-missing"),
        ("a.csv", "text,label\na,1\nb,\n", "label-missing"),
        ("a.csv", "label\na\n", "row-without-text"),
        ("a.csv", "text\nrain, then sun\n", "row-malformed"),
        ("a.csv", 'text\n"a', "row-malformed"),
        ("a.csv", "text,text\na,b\n", "row-malformed"),
        ("a.csv", "text\n" + '"' + "a\n" * 200_000 + '"', "row-malformed"),
    ],
)
def test_data_that_is_refused(tmp_path: Path, name: str, content: str | bytes, code: str) -> None:
    error = refusal(write(tmp_path, name, content))
    assert isinstance(error, DataError)
    assert (error.code, error.file) == (code, name)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_line_beyond_its_limit_is_refused_before_it_is_read_whole(
    tmp_path: Path, name: str
) -> None:
    path = write(tmp_path, name, "\n" if name.endswith("jsonl") else "text\n")
    with path.open("ab") as file:
        file.truncate(900_000_000)  # a hole: one line of NUL bytes
    error = refusal(path)
    assert error.code == "line-too-long"
    assert "line 2" in error.reason


def test_many_short_lines_are_one_paragraph_that_is_too_long(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "word\n" * 100)
    assert refusal(path, line_bytes=300).code == "line-too-long"
    assert len(read(path, line_bytes=400).texts) == 1


def test_limits_on_size_and_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n' * 50)
    assert refusal(path, file_bytes=600).code == "data-too-large"
    assert refusal(path, rows=49).code == "too-many-rows"
    assert len(read(path, rows=50, file_bytes=700).texts) == 50


def test_what_is_no_data_is_named(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, "a.xlsx", "x")).code == "data-unknown"
    with pytest.raises(SourceNotFoundError):
        read(tmp_path / "missing.txt")


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(SourceError, match="named pipe"):
        read(tmp_path / "a.txt")
