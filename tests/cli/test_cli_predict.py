"""Answers to texts: as arguments, on stdin, odd and broken ones."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Done, Replank, error_lines, replank_process, run_replank
from replank.cli.main import main
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.text import tokenization

TRUNCATION = "texts longer than 32 tokens are truncated (said once)\n"


def predictions(done: Done, said: str = "") -> list[dict[str, Any]]:
    """One JSON object a line."""
    assert (done.code, done.err) == (0, said)
    return [json.loads(line) for line in done.out.removesuffix("\n").split("\n")]


def test_texts_as_arguments(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, "a good film", "a bad film")
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("positive", "a good film"), ("negative", "a bad film")]
    assert all(0.5 <= float(row[1]) <= 1 for row in rows)


def test_json_holds_every_label_with_its_probability(replank: Replank, int8_artifact: Path) -> None:
    (answer,) = predictions(replank("predict", int8_artifact, "a good film", "--json"))
    assert (answer["text"], answer["label"]) == ("a good film", "positive")
    logits = load_model(open_source(int8_artifact)).logits(["a good film"])[0].astype(float)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert list(answer["scores"]) == ["positive", "negative"]
    assert [answer["scores"][label] for label in ("negative", "positive")] == pytest.approx(list(expected), abs=1e-6)


def test_lines_of_stdin(replank: Replank, int8_artifact: Path) -> None:
    lines = "a good film\r\n\na bad film"
    rows = [line.split("\t") for line in replank("predict", int8_artifact, stdin=lines.encode()).out.splitlines()]
    assert [(row[0], row[2]) for row in (rows[0], rows[2])] == [("positive", "a good film"), ("negative", "a bad film")]
    assert rows[1][2] == ""


def test_many_lines_of_stdin_keep_their_order(replank: Replank, int8_artifact: Path) -> None:
    texts = [f"{'good' if row % 3 else 'bad'} film {'very ' * (row % 7)}" for row in range(600)]
    answers = predictions(replank("predict", int8_artifact, "--json", stdin="\n".join(texts).encode()))
    assert [answer["text"] for answer in answers] == texts
    right = [answer["label"] == ("positive" if row % 3 else "negative") for row, answer in enumerate(answers)]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'"a \\"good\\" film\\n"', 'a "good" film\n'),
        (b'["one text"]', "one text"),
        (b'"unclosed', '"unclosed'),
        (b"[1, 2]", "[1, 2]"),
        (b"[]", "[]"),
        (b'{"text": "a"}', '{"text": "a"}'),
        (b'"\\ud83d half"', "\ufffd half"),
        (b"\xef\xbb\xbfmarked", "marked"),
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (b"nul \0 byte", "nul \0 byte"),
        (b"", ""),
        (b"   ", "   "),
        ("🚢 \u2028 ünïcode".encode(), "🚢 \u2028 ünïcode"),
        (b"tab\tin it", "tab\tin it"),
    ],
)
def test_odd_lines_of_stdin(replank: Replank, int8_artifact: Path, line: bytes, text: str) -> None:
    (answer,) = predictions(replank("predict", int8_artifact, "--json", stdin=line + b"\n"))
    assert answer["text"] == text
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_a_long_line_of_stdin(replank: Replank, int8_artifact: Path) -> None:
    tokenization._warn_of_truncation.cache_clear()
    text = "good " * 50_000
    (answer,) = predictions(replank("predict", int8_artifact, "--json", stdin=f"{text}\n".encode()), TRUNCATION)
    assert answer["text"] == text
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_nothing_on_stdin_is_no_answer(replank: Replank, int8_artifact: Path) -> None:
    assert replank("predict", int8_artifact) == Done(0, "", "")


def test_texts_that_are_not_utf8(int8_artifact: Path) -> None:
    """Bytes that the system hands over as half characters, through a real process."""
    done = run_replank("predict", int8_artifact, os.fsdecode(b"caf\xe9"), "--json")
    assert predictions(done)[0]["text"] == "caf\ufffd"


def test_an_answer_is_one_line_and_commands_no_terminal(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, "one\ntwo\tthree\r\x1b[31m\0\u2028\x85four")
    assert done.code == 0
    (row,) = done.out.removesuffix("\n").split("\n")
    assert row.split("\t")[2] == "one two three  [31m   four"


def test_pairs(replank: Replank, pair_onnx_artifact: Path) -> None:
    model = load_model(open_source(pair_onnx_artifact))
    expected = [model.task.labels[index] for index in model.logits(["a", "c"], ["b", "d"]).argmax(axis=1)]
    ways = (
        replank("predict", pair_onnx_artifact, "a", "b", "c", "d", "--json"),
        replank("predict", pair_onnx_artifact, "--json", stdin=b'a\tb\n["c", "d"]\n'),
    )
    for done in ways:
        answers = predictions(done)
        assert [answer["text"] for answer in answers] == [["a", "b"], ["c", "d"]]
        assert [answer["label"] for answer in answers] == expected
    told = replank("predict", pair_onnx_artifact, "a", "b").out.removesuffix("\n").split("\t")
    assert told[2:] == ["a", "b"]


@pytest.mark.parametrize(("line", "number"), [(b"alone", 1), (b'["a"]', 1), (b'["a", "b", "c"]', 3), (b'"a"', 1)])
def test_what_is_no_pair_is_named_by_line(replank: Replank, pair_onnx_artifact: Path, line: bytes, number: int) -> None:
    done = replank("predict", pair_onnx_artifact, stdin=b"a\tb\n" + line)
    assert done.code == 1
    assert error_lines(done) == [
        f"error: line 2 of stdin holds {number} of the 2 texts that the task takes",
        'hint: a pair is two texts with a tab between, or ["first", "second"]',
    ]


def test_two_texts_are_not_one(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, stdin=b'["a", "b"]')
    assert done.code == 1
    assert error_lines(done) == ["error: line 1 of stdin holds 2 of the 1 texts that the task takes"]


def test_a_terminal_as_stdin_is_asked_for_texts(
    int8_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as end:
        main(["predict", str(int8_artifact)])
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: no text given"


def test_truncation_is_said_on_stderr(onnx_artifact: Path) -> None:
    done = run_replank("predict", onnx_artifact, "good " * 100, "bad " * 100)
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert done.err == TRUNCATION


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_closed_stream_is_no_reason_to_fail(onnx_artifact: Path, stream: int) -> None:
    """As a supervisor may start it."""
    done = run_replank("predict", onnx_artifact, "good", preexec_fn=partial(os.close, stream))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("positive") == (stream != 1)


def test_a_reader_that_goes_away_gets_no_traceback(onnx_artifact: Path) -> None:
    with replank_process("predict", onnx_artifact, *["good"] * 100) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
