"""Questions to a knowledge graph over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app_client import CONFIG, assert_error, post, with_app
from replank.graphs.knowledge import KnowledgeGraph
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.relations import relate
from replank_serve.engine.engine import Engine

QUESTION = {"head": "p0 0", "relation": "is a parent of", "tail": "?"}


@pytest.fixture(scope="module")
def judge(relation_model: Path) -> Model:
    return load_model(open_source(relation_model), threads=1)


def test_answers_are_those_of_python_with_their_paths(judge: Model, family: Path) -> None:
    expected = relate(judge, KnowledgeGraph.open(family), "p0 0", "is a parent of", "?", top=5)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        response = await post(http, QUESTION | {"top": 5, "colour": "red"}, "/relations")
        assert response.status_code == 200, response.text
        answers = response.json()["answers"]
        assert [answer["score"] for answer in answers] == pytest.approx([triple.score for triple in expected], abs=1e-5)
        for answer, triple in zip(answers, expected, strict=True):
            assert answer.keys() == {"head", "relation", "tail", "score", "known", "path"}
            assert (answer["head"], answer["tail"], answer["known"]) == (triple.head, triple.tail, triple.is_known)
            assert [tuple(edge) for edge in answer["path"]] == list(triple.path)
        assert response.headers["x-ignored-fields"] == "colour"
        assert int(response.headers["x-compute-tokens"]) > 0

    with_app(judge, client, replace(CONFIG, graph=family, max_queue_tokens=8192))


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"head": "p0 9", "relation": "lives in"}, "data", "has no entity 'p0 9'; the nearest: p0 "),
        ({"head": "p0 0", "relation": "likes"}, "data", "never taught the relation 'likes'"),
        ({"head": "p0 0"}, "usage", "more than one"),
        ({"head": 7}, "usage", "head: "),
        (QUESTION | {"top": 0}, "usage", "top: "),
    ],
)
def test_what_cannot_be_asked_is_refused(judge: Model, family: Path, body: object, kind: str, message: str) -> None:
    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        response = await post(http, body, "/relations")
        assert response.status_code == 422, response.text
        assert message.partition(";")[0] in response.json()["error"]

    with_app(judge, client, replace(CONFIG, graph=family))


def test_a_model_of_another_kind_and_a_server_without_a_graph_answer_none(
    judge: Model, model: Model, family: Path
) -> None:
    async def other_kind(http: httpx.AsyncClient, engine: Engine) -> None:
        response = await post(http, QUESTION, "/relations")
        assert "a graph is asked of a model that judges triples" in response.json()["error"]
        assert (await http.get("/info")).json()["graph"] is True

    async def no_graph(http: httpx.AsyncClient, engine: Engine) -> None:
        assert_error(await post(http, QUESTION, "/relations"), 404, "not_found", "")
        assert (await http.get("/info")).json()["graph"] is False

    with_app(model, other_kind, replace(CONFIG, graph=family))
    with_app(judge, no_graph)
