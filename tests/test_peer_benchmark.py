"""The benchmark beside the peers: what needs no peer keeps its protocol, and the table says what was measured."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rag.index.embedder import CARRIED_MODEL, model_folder

ROOT = Path(__file__).parents[1]
FACTS = {
    "Harbour": "The harbour bridge was closed in March because its bearings had rusted.",
    "Library": "The library lends telescopes to members for two weeks at a time.",
    "Bakery": "Rye bread is baked on Tuesdays, and the oven is lit at four in the morning.",
    "Rota": "Amara Diallo keeps the support rota and swaps shifts on request.",
    "Garden": "Tomatoes are planted after the last frost, usually in the middle of May.",
    "Museum": "The museum owns eleven clocks, the oldest of which was made in Nuremberg.",
    "Ferry": "The ferry to the island leaves twice a day from pier six.",
    "School": "Pupils learn to swim in the third year, in the pool behind the gymnasium.",
    "Theatre": "Tickets for the theatre are sold at half price an hour before the play.",
    "Brewery": "The brewery cools its kettles with water from its own well.",
}
QUESTIONS = {"Who keeps the support rota?": 3, "Why was the bridge closed?": 0, "Where does the ferry leave from?": 6}


@pytest.fixture
def peer_systems(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import peer_systems.corpus
    import peer_systems.report
    import peer_systems.step

    return peer_systems


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    asked = {place: question for question, place in QUESTIONS.items()}
    articles = [
        {
            "title": title,
            "paragraphs": [
                {
                    "context": text,
                    "qas": [{"id": str(place), "question": asked[place], "answers": []}] if place in asked else [],
                }
            ],
        }
        for place, (title, text) in enumerate(FACTS.items())
    ]
    file = tmp_path / "facts.json"
    file.write_text(json.dumps({"data": articles}))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("system", ["ours", "bare"])
@pytest.mark.parametrize("is_given", [True, False])
def test_systems_find_the_passage_of_each_question(
    peer_systems: Any, squad_file: Path, tmp_path: Path, system: str, is_given: bool
) -> None:
    corpus = peer_systems.corpus.build_corpus([squad_file], size=10, asked_about=10, num_questions=10)
    passages, vectors = tmp_path / "passages.jsonl", tmp_path / "vectors.npy"
    peer_systems.passages.write_passages(passages, corpus.passages)
    if is_given:
        embedded = peer_systems.corpus.embed_once(corpus.passages, work=tmp_path)
        peer_systems.step.np.save(vectors, embedded)
    step = peer_systems.step.Step(
        system=system,
        folder=str(tmp_path / "store"),
        model=str(model_folder(CARRIED_MODEL)),
        dtype="float32",
        batch_size=32,
        passages=str(passages),
        vectors=str(vectors) if is_given else None,
    )
    ingested = peer_systems.step.ingest(step)
    questions = tuple(question.text for question in corpus.questions)
    searched = peer_systems.step.search(
        replace(step, questions=questions, num_timed=2, callers=(1, 4), pass_seconds=60)
    )
    assert ingested.seconds > 0
    assert ingested.disk_mib > 0
    assert len(searched.times_ms) == 2
    assert [load.callers for load in searched.loads] == [1, 4]
    assert all((load.num_failed, load.num_changed) == (0, 0) for load in searched.loads)
    assert [found[0] in q.passage_ids for found, q in zip(searched.hits, corpus.questions, strict=True)] == [True] * 3


def test_corpus_has_each_passage_once_and_questions_about_the_first(peer_systems: Any, squad_file: Path) -> None:
    corpus = peer_systems.corpus.build_corpus([squad_file, squad_file], size=20, asked_about=5, num_questions=10)
    assert [passage.text for passage in corpus.passages] == list(FACTS.values())
    assert {question.text: set(question.passage_ids) for question in corpus.questions} == {
        question: {f"p{place}"} for question, place in QUESTIONS.items() if place < 5
    }


def test_made_up_passages_are_unit_vectors_near_two_real_ones(peer_systems: Any, squad_file: Path) -> None:
    np, corpus = peer_systems.step.np, peer_systems.corpus
    real = corpus.build_corpus([squad_file], size=10, asked_about=10, num_questions=10).passages
    passages, vectors = corpus.make_up(real, np.eye(10, 384, dtype=np.float32), num=50)
    assert len({passage.text for passage in passages}) == 50
    assert vectors.shape == (50, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_ratios_are_to_the_fastest_peer_of_the_same_size(peer_systems: Any) -> None:
    report = peer_systems.report
    ours = report.Row(
        size=2_000,
        system="ours",
        dtype="float32",
        num_ingested=2_000,
        ingest_rate=90.0,
        stored_rate=None,
        p50_ms=6.0,
        p95_ms=9.0,
        loads={1: 160.0},
        start_up_s=4.0,
        open_s=0.2,
        ingest_memory_mib=900.0,
        search_memory_mib=700.0,
        disk_mib=9.0,
        right="1101",
        remarks=(),
    )
    rows = [
        ours,
        replace(ours, system="txtai", ingest_rate=30.0, p50_ms=12.0, right="1001"),
        replace(ours, system="haystack", ingest_rate=20.0, p50_ms=60.0, right="10", remarks=("time was short",)),
        replace(ours, system="bare", p50_ms=5.0),
        replace(ours, system="txtai", size=20_000, ingest_rate=300.0, p50_ms=1.0),
    ]
    assert report.claims(rows)[2] == "| 2,000 | ours (float32) | 3.00 | 0.50 | +0.250 | 1.20 |"
    printed = report.table(rows, [1])
    assert "| 2,000 | ours (float32) | 90.0 (3.00) |" in printed
    assert "- haystack, 2,000: time was short." in printed


def test_peers_are_pinned_and_installed_by_no_command_of_the_makefile() -> None:
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints-peers.txt").read_text().splitlines()}
    main = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["peers"]
    assert {requirement.split(">=")[0] for requirement in group} <= pinned
    assert not pinned & main
    assert "peers" not in (ROOT / "Makefile").read_text()
