"""A load test that cannot be or that ends in the middle: one error, and nothing measured is lost."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from commands import Replank, error_lines
from loadtest_stand_in import measured, stand_in
from replank.system.errors import QualityGateError, ReplankError
from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.run import loadtest


def test_a_limit_that_no_rate_holds_names_the_nearest_miss() -> None:
    kept: list[dict[str, Any]] = []
    message = r"no rate keeps p99 within 0\.001 ms; closest: .* ms at .* requests/s"
    with stand_in() as stand, pytest.raises(QualityGateError, match=message):
        loadtest(LoadtestConfig(stand.url, limit_ms=0.001, seconds=0.2), lambda result: kept.append(result.to_json()))
    assert kept[-1]["server"] is None
    assert kept[-1]["nearest"] == kept[-1]["runs"][2]
    assert "no rate keeps" in kept[-1]["failure"]


def test_a_server_that_refuses_without_load_is_not_tested() -> None:
    with stand_in() as stand:
        stand.statuses[3] = 422
        with pytest.raises(ReplankError, match="requests were refused before there was any load: HTTP 422"):
            measured(LoadtestConfig(stand.url, limit_ms=5000, seconds=0.2))


def test_a_server_that_dies_in_the_middle_ends_the_test_and_what_was_measured_is_kept(
    replank: Replank, tmp_path: Path
) -> None:
    with stand_in(dies_after=400) as stand:
        done = replank("loadtest", stand.url, tmp_path / "out", "--limit", "5s", "--seconds", "0.2")
    assert done.code == 1
    assert error_lines(done)[0].startswith(f"error: {stand.url} does not answer: ")
    result = json.loads((tmp_path / "out" / "loadtest.json").read_text(encoding="utf-8"))
    assert result["failure"] == error_lines(done)[0].removeprefix("error: ")
    assert [run["scenario"] for run in result["runs"]][:1] == ["SingleStream"]
    assert (tmp_path / "out" / "loadtest.svg").exists()


def test_nothing_is_written_where_no_folder_is_named(
    replank: Replank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with stand_in() as stand:
        done = replank("loadtest", stand.url, "--limit", "0.001ms", "--seconds", "0.2")
    assert (done.code, "no rate keeps p99" in done.err) == (3, True)
    assert not list(tmp_path.iterdir())


def test_a_url_where_nothing_listens(replank: Replank, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = replank("loadtest", url, tmp_path / "out", "--limit", "50ms")
    assert done.code == 1
    assert error_lines(done)[0] == f"error: {url} does not answer: Connection refused"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("x", "--limit", "50"), 2, "--limit is 50; expected a number above 0 with one of the units us, ms, s"),
        (("x", "--limit", "50parsec"), 2, "--limit is 50parsec; expected a number above 0"),
        (("x", "--limit", "-5ms"), 2, "--limit is -5ms; expected a number above 0"),
        (("x", "--limit", "5ms", "--seconds", "0"), 2, "--seconds is 0.0; expected more than 0"),
        (("ftp://host", "--limit", "5ms"), 2, "ftp://host is not the URL of a server"),
        (("no/such/folder", "--limit", "5ms"), 1, "there is no folder no/such/folder"),
        (("x", "--limit", "5ms", "--texts", "no.txt"), 1, "cannot read no.txt: No such file"),
    ],
)
def test_bad_input_is_one_clear_error(
    replank: Replank, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    name, *flags = arguments
    done = replank("loadtest", name, tmp_path / "out", *flags)
    assert done.code == code
    assert error_lines(done)[0].startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_is_not_overwritten_unasked(replank: Replank, tmp_path: Path) -> None:
    (tmp_path / "loadtest.json").write_text("{}", encoding="utf-8")
    done = replank("loadtest", "x", tmp_path, "--limit", "50ms")
    assert (done.code, error_lines(done)[0]) == (2, f"error: {tmp_path} holds a result")
