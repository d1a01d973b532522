"""The commands as people call them: exit status, standard output, standard error."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag.api.collection_schemas import CollectionListResponse
from rag.api.schemas import DocumentListResponse
from rag.cli.main import app, main
from rag.errors import RagError
from rag.reader.evidence import EVIDENCE_FEATURES
from rag.store.collections import get_or_create_collection
from rag.store.database import Database

HANDBOOK = {
    "support.md": "# Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n",
    "copy.txt": "Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n",
    "history.txt": "The company was founded in Lisbon in 1987 by Maria Costa.",
    "damaged.pdf": "%PDF-1.4 nothing",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, words in HANDBOOK.items():
        (folder / name).write_text(words)
    return folder


class Command:
    """``rag`` inside this process, over one fresh database."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._options = ["--database-url", database_url, "--data-dir", str(data_dir)]

    def invoke(self, *arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(app, [*self._options, *arguments], input=input)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        result = self.invoke(*arguments)
        if isinstance(result.exception, RagError):
            raise result.exception
        assert result.exit_code == status, (result.output, result.exception)
        return result.stdout

    def json(self, *arguments: str, status: int = 0) -> dict:
        value: dict = json.loads(self(*arguments, "--json", status=status))
        return value


@pytest.fixture
def rag(sqlite_url: str, tmp_path: Path) -> Command:
    return Command(sqlite_url, tmp_path / "data")


def test_story_of_a_handbook(rag: Command, folder: Path) -> None:
    preview = rag.json("ingest", str(folder), "--dry-run", status=3)
    report = rag.json("ingest", str(folder), "--tag", "team=ops", status=3)
    assert (report["num_added"], report["num_exact_duplicates"], report["num_refused"]) == (2, 1, 1)
    assert preview["num_added"] == 2
    assert "damaged" in report["refused"][0]["reason"]
    shown = rag("ingest", str(folder), "--tag", "team=ops", status=3)
    assert "unchanged" in shown

    answer = rag.json("ask", "Who keeps the support rota?", "--filter", "team=ops")
    assert answer["answer"] == "Amara Diallo"
    assert set(answer) >= {
        "id",
        "answer",
        "abstained",
        "confidence",
        "citations",
        "passages",
        "scores",
        "timings_ms",
        "model",
    }
    shown = rag("ask", "Who keeps the support rota?")
    assert "The support rota is kept by «Amara Diallo»." in shown
    withheld = rag("ask", "What is the boiling point of tungsten?")
    assert "Not in these documents. (the best guess is withheld: " in withheld

    assert [row["answer_id"] for row in rag.json("answers", "list")["answers"]] == [3, 2, 1]
    assert [row["answer_id"] for row in rag.json("answers", "list", "--abstained")["answers"]] == [3]
    assert "(not in these documents)" in rag("answers", "list")
    assert rag.json("answers", "rate", "1", "down", "--comment", "who?")["rating"] == -1
    assert "rated up" in rag("answers", "rate", "2", "up")
    assert rag.json("answers", "list", "--rating", "down")["answers"][0]["comment"] == "who?"
    assert rag.json("answers", "show", "1")["feedback"][0]["comment"] == "who?"
    assert "rated down who?" in rag("answers", "show", "1")


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
def test_search_shows_the_score_of_each_leg(rag: Command, folder: Path, mode: str) -> None:
    rag("ingest", str(folder), status=3)
    (hit, *_) = rag.json("search", "support rota", "--mode", mode)["hits"]
    assert hit["source"].endswith("copy.txt")
    assert hit["also_in"][0]["source"].endswith("support.md")
    assert (hit["scores"]["keyword"] is None) == (mode == "vector")
    assert "also in" in rag("search", "support rota", "--mode", mode)


def test_documents_collections_and_index(rag: Command, folder: Path) -> None:
    rag("ingest", str(folder), status=3)
    documents = rag.json("documents", "list")["documents"]
    assert len(documents) == 3
    assert "history" in rag("documents", "list")
    number = str(next(d["id"] for d in documents if d["source"].endswith("history.txt")))
    assert "Lisbon" in rag("documents", "show", number)
    assert "Lisbon" in rag.json("documents", "show", number)["text"]
    (collection,) = rag.json("collections", "list")["collections"]
    assert (collection["num_documents"], collection["num_passages"]) == (3, 2)
    assert "default" in rag("collections", "list")
    assert rag.json("documents", "delete", number)["deleted"] == int(number)
    (stats,) = rag.json("index", "stats")["indexes"]
    assert stats["passages_in_sql"] == stats["passages_in_index"] == 1
    assert "default" in rag("index", "stats")
    assert stats["bytes"] > 0
    assert (stats["kind"], stats["num_unlinked"], stats["num_removed"]) == ("exact", 1, 0)
    assert stats["vector_bytes"] == 384 * 2 + 24
    assert rag.json("index", "build")["passages_in_index"] == 1
    assert rag.json("index", "rebuild")["passages_in_index"] == 1


def test_damaged_snapshot_is_reported_once_and_rebuilt(rag: Command, folder: Path) -> None:
    rag("ingest", str(folder), status=3)
    assert rag.json("index", "verify")["indexes"][0]["good"] is True
    (stats,) = rag.json("index", "stats")["indexes"]
    for vectors in Path(stats["folder"]).glob("*/vectors/rows.faiss"):
        vectors.write_bytes(b"junk")
    (damaged,) = rag.json("index", "verify", status=1)["indexes"]
    assert damaged["good"] is False
    assert "vectors/rows.faiss" in damaged["problem"]
    assert damaged["passages_in_index"] == damaged["passages_in_sql"] == 2
    assert rag.json("index", "verify")["indexes"][0]["problem"] is None


def test_vector_index_can_be_set_and_its_recall_is_verified(
    rag: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_VECTOR_INDEX", "hnsw")
    rag("ingest", str(folder), status=3)
    (stats,) = rag.json("index", "stats")["indexes"]
    assert (stats["kind"], stats["num_unlinked"], stats["num_removed"]) == ("hnsw", 0, 0)
    (verified,) = rag.json("index", "verify")["indexes"]
    assert (verified["good"], verified["recall_at_10"]) == (True, 1.0)
    monkeypatch.setattr("rag.index.collection_index.measure_recall", lambda _: 0.9)
    (verified,) = rag.json("index", "verify", status=1)["indexes"]
    assert (verified["good"], verified["recall_at_10"]) == (False, 0.9)
    assert "finds 90.0%" in verified["problem"]
    assert "set vector_index to exact" in verified["problem"]
    monkeypatch.setenv("RAG_VECTOR_INDEX", "flat")
    with pytest.raises(RagError, match="vector_index"):
        rag("index", "stats")


def test_document_is_erased_for_good_after_a_look_at_what_stays(rag: Command, folder: Path) -> None:
    rag("ingest", str(folder), status=3)
    rag("ask", "Who keeps the support rota?")
    (number,) = (hit["document_id"] for hit in rag.json("search", "support rota", "--top-k", "1")["hits"])
    (copy,) = (hit["also_in"][0]["document_id"] for hit in rag.json("search", "support rota", "--top-k", "1")["hits"])
    rag("datasets", "create", "June")
    erase = ["documents", "erase", str(number), "--reason", "request 12"]
    with pytest.raises(RagError, match="Nothing was erased; answer y, or give --yes"):
        rag(*erase)
    asked = rag.invoke(*erase)
    assert "stays: 1 logged answers that were shown its words: 1" in asked.stderr
    assert f"stays: 1 documents of its collection with the same words: {copy}" in asked.stderr
    assert "Erase it for good?" in asked.stderr
    with pytest.raises(RagError, match="needs a reason"):
        rag("documents", "erase", str(number), "--reason", " ", "--yes")
    assert rag("documents", "show", str(number))
    erased = rag.json(*erase, "--yes")
    assert erased == {"erased": number, "dataset_ids": [1], "answer_ids": [1], "document_ids": [copy]}
    for command in (["documents", "show", str(number)], [*erase, "--yes"]):
        with pytest.raises(RagError, match=f"Document {number} has been erased"):
            rag(*command)
    assert [hit["document_id"] for hit in rag.json("search", "support rota", "--top-k", "1")["hits"]] == [copy]
    assert (rag.json("index", "verify")["indexes"][0]["good"], rag.json("answers", "show", "1")["answer"]) == (
        True,
        "Amara Diallo",
    )


def test_question_before_an_erasure_is_answered_with_y(rag: Command, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The office is closed on Fridays.")
    rag("ingest", str(tmp_path / "note.txt"))
    erased = rag.invoke("documents", "erase", "1", "--reason", "request 12", input="y\n")
    assert erased.exit_code == 0
    assert erased.stdout.endswith("document 1 erased, and taken out of 0 datasets\n")


def test_index_of_an_emptied_collection_is_verified_too(rag: Command, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("The office is closed on Fridays.")
    rag("ingest", str(path))
    rag("documents", "delete", "1")
    (verified,) = rag.json("index", "verify")["indexes"]
    assert (verified["good"], verified["passages_in_index"]) == (True, 0)


def test_nothing_logged_is_an_empty_list_and_a_hint(rag: Command) -> None:
    assert rag.json("answers", "list") == {"answers": [], "next": None}
    assert rag.json("collections", "list") == {"collections": [], "next": None}
    assert rag.json("index", "stats") == {"indexes": []}
    for arguments, words in ((["answers", "list"], "rag ask"), (["collections", "list"], "rag ingest")):
        shown = rag.invoke(*arguments)
        assert shown.stdout == ""
        assert words in shown.stderr


def test_lists_go_over_the_wire_as_the_api_sends_them(rag: Command, folder: Path) -> None:
    rag("ingest", str(folder), status=3)
    page = rag.json("documents", "list", "--limit", "2")
    DocumentListResponse.model_validate(page)
    assert [document["id"] for document in page["documents"]] == [1, 2]
    assert page["next"] in rag.invoke("documents", "list", "--limit", "2").stderr
    rest = rag.json("documents", "list", "--cursor", page["next"])
    assert (len(rest["documents"]), rest["next"]) == (1, None)
    CollectionListResponse.model_validate(rag.json("collections", "list"))
    assert page["documents"][0]["created_at"].endswith("Z")


def test_near_duplicates_are_told_apart_in_search(rag: Command, tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(80))
    for year in (2024, 2025):
        (tmp_path / f"policy-{year}.txt").write_text(f"{words} The limit of {year} holds.")
    rag("ingest", str(tmp_path / "policy-2024.txt"), str(tmp_path / "policy-2025.txt"))
    shown = rag("search", "the limit", "--mode", "keyword")
    assert len(shown.splitlines()) == 3  # a heading and both
    assert shown.count("(near duplicate of document 1)") == 1


def test_logged_words_cannot_steer_the_terminal(rag: Command, folder: Path) -> None:
    rag("ingest", str(folder), status=3)
    rag("ask", "Who keeps \x1b[31mthe rota?")
    rag("answers", "rate", "1", "down", "--comment", "\x1b]0;title\x07")
    for arguments in (["answers", "list"], ["answers", "show", "1"]):
        shown = rag(*arguments)
        assert "\x1b" not in shown
        assert "\ufffd" in shown


def test_evaluation_prints_the_promised_figures(rag: Command, tmp_path: Path) -> None:
    context = "The support rota is kept by Amara Diallo."
    qa = {"id": "1", "question": "Who keeps the rota?", "answers": [{"text": "Amara Diallo", "answer_start": 28}]}
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": [{"context": context, "qas": [qa]}]}]}))
    figures = rag.json("evaluate", "qa", str(path), "--no-abstain")
    assert (figures["exact_match"], figures["hit_at_1"], figures["citations_verified"]) == (1.0, 1.0, 1.0)
    assert "exact_match" in rag("evaluate", "qa", str(path), "--gold-passage")
    ways = {"hybrid", "keyword", "vector", "reranked"}
    assert set(rag.json("evaluate", "retrieval", str(path), "--limit", "1")) == ways
    assert "mrr_at_10" in rag("evaluate", "retrieval", str(path))
    assert set(rag.json("evaluate", "retrieval", str(path), "--no-rerank")) == ways - {"reranked"}


def test_folder_in_the_layout_of_beir_is_evaluated(rag: Command, tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "title": "Rota", "text": "The rota is kept by Amara Diallo."}\n')
    query = "Who keeps the rota? " * 200  # longer than a request may be
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": query}) + "\n")
    (folder / "qrels" / "dev.tsv").write_text("q\ta\t1\n")
    figures = rag.json("evaluate", "retrieval", str(folder), "--split", "dev")
    assert {way: figures[way]["ndcg_at_10"] for way in figures} == dict.fromkeys(figures, 1.0)


def test_search_is_told_how_and_says_why(rag: Command, folder: Path) -> None:
    rag("db", "upgrade")
    rag("ingest", str(folder), status=3)
    how = ("--fusion", "rrf", "--keyword-weight", "1", "--candidates", "5", "--rerank")
    hit = rag.json("search", "support rota", *how)["hits"][0]
    assert (hit["scores"]["fused"], hit["scores"]["keyword_rank"]) == (1.0, 1)
    assert hit["scores"]["relevance"] is not None
    assert "(#1)" in rag("search", "support rota", "--no-rerank")
    answer = rag.json("ask", "Who keeps the support rota?", *how)
    assert rag.json("answers", "show", str(answer["id"]))["settings"]["fusion"] == "rrf"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", ""], "empty"),
        (["ask", "x" * 100_000], "max_question_chars"),
        (["ask", "Who?", "--collection", "nope"], "no collection"),
        (["ask", "Who?", "--filter", "team"], "name=value"),
        (["search", "x", "--mode", "magic"], "hybrid, keyword or vector"),
        (["search", "x", "--fusion", "magic"], "adaptive, convex or rrf"),
        (["ingest", "nowhere"], "no file or folder"),
        (["ingest", ".", "--origin", "made-up"], "real or synthetic"),
        (["ingest", ".", "--tag", "=x"], "name=value"),
        (["answers", "show", "99"], "no answer 99"),
        (["answers", "rate", "1", "sideways"], "up or down"),
        (["evaluate", "qa", "nowhere.json"], "Cannot read"),
        (["evaluate", "qa", "nowhere.json", "--reader-mode", "magic"], "reader mode"),
        (["evaluate", "abstention", "a.json", "b.json", "--share-unanswerable", "1"], "above 0 and below 1, not 1"),
        (["evaluate", "abstention", "a.json", "b.json", "--share-unanswerable", "nan"], "above 0 and below 1, not nan"),
        (["serve", "--host", "0.0.0.0"], "API keys"),
        (["serve", "--host", "example.org"], "API keys"),
        (["train", "reader", "--data", "nowhere.json", "--output", "out", "--no-record"], "Cannot read"),
        (["train", "reader", "--data", "x", "--output", "out", "--dtype", "int3"], "--dtype must be auto"),
        (["train", "reader", "--data", "x", "--output", "out", "--device", "cuda"], "no CUDA device"),
        (["train", "calibrate", "--data", "x", "--weights", "out", "--share", "2"], "--share must be above 0"),
    ],
)
def test_wrong_input_is_one_clear_sentence(rag: Command, arguments: list[str], words: str) -> None:
    with pytest.raises(RagError, match=words):
        rag(*arguments)


def test_wrong_usage_is_status_2(rag: Command) -> None:
    rag("ask", status=2)


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rag.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "words"),
    [
        (["ask", "Who?"], {}, 1, "run `rag db upgrade`"),
        (["ask"], {}, 2, "Missing argument"),
        (["--database-url", "oracle://x", "db", "upgrade"], {}, 1, "database_url"),
        (["answers", "list"], {"RAG_TOP_K": "many"}, 1, "top_k"),
        (["serve", "--port", "99999"], {}, 2, "65535"),
    ],
)
def test_failures_leave_one_line_and_no_traceback(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], status: int, words: str
) -> None:
    done = _run(*arguments, RAG_DATA_DIR=str(tmp_path), **environment)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_database_is_made_by_upgrade_and_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert json.loads(_run("--data-dir", str(tmp_path), "db", "upgrade", "--json").stdout)["revision"]
    status = json.loads(_run("--data-dir", str(tmp_path), "db", "status", "--json").stdout)
    assert status["current"] == status["head"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_output_does_not_depend_on_what_letters_the_terminal_has(sqlite_url: str, encoding: str) -> None:
    database = Database(sqlite_url)
    with database.write() as session:
        get_or_create_collection(session, "café", embedding_model="m")
    database.dispose()
    for options in (["--json"], []):
        done = _run("--database-url", sqlite_url, "collections", "list", *options, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)["collections"][0]["name"] if options else done.stdout
        assert "café" in shown or (encoding == "ascii" and not options and "caf\\xe9" in shown)


def test_reader_of_the_output_may_go(sqlite_url: str) -> None:
    command = [sys.executable, "-c", "from rag.cli.main import main; main()"]
    arguments = ["--database-url", sqlite_url, "answers", "list", "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run([*command, *arguments], stdout=gone, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.stderr == ""


@pytest.mark.slow
def test_taken_port_is_one_sentence_and_status_1(sqlite_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = _run("--database-url", sqlite_url, "--data-dir", str(tmp_path / "data"), "serve", "--port", port)
    assert done.returncode == 1
    assert f"error: Cannot serve on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_interruption_is_status_130_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rag.store.migrate.upgrade", interrupt)
    monkeypatch.setattr(sys, "argv", ["rag", "--data-dir", str(tmp_path), "db", "upgrade"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 128 + signal.SIGINT
    assert capsys.readouterr().err == "interrupted\n"


def test_unexpected_error_is_one_line_and_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("rag.cli.main.app", fail)
    for options, shown in (([], False), (["--debug"], True)):
        monkeypatch.setattr(sys, "argv", ["rag", *options])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        error = capsys.readouterr().err
        assert "unexpected RuntimeError" in error
        assert ("Traceback" in error) == shown


def test_help_loads_no_model() -> None:
    code = "import sys; from rag.cli.main import app; assert 'torch' not in sys.modules, 'torch'"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.slow
def test_train_reader_saves_weights_that_answer(rag: Command, tmp_path: Path) -> None:
    data = []
    for number in range(8):
        text = f"House {number} of this street was built in {1900 + number} by the family Smith."
        qas = [
            {
                "id": f"{number}-{asked}",
                "question": f"{asked} was house {number} built?",
                "answers": [{"text": answer, "answer_start": text.index(answer)}],
            }
            for asked, answer in (("When", str(1900 + number)), ("By whom", "the family Smith"))
        ]
        data.append({"title": f"Street {number}", "paragraphs": [{"context": text, "qas": qas * 4}]})
    path = tmp_path / "houses.json"
    path.write_text(json.dumps({"data": data}))
    output, work = tmp_path / "weights", tmp_path / "work"
    arguments = ["train", "reader", "--data", str(path), "--output", str(output), "--work", str(work), "--steps", "2"]
    config = rag.json(*arguments)
    assert config["training"]["num_steps"] == 2
    assert (output / "reader.safetensors").stat().st_size < 64_000_000
    assert "reader saved in" in rag(*arguments, "--no-record")  # resumes at the end, calibrates and saves again
    assert (work / "log.jsonl").read_text().count("\n") == 1
    (run,) = rag.json("train", "runs")["runs"]
    assert (run["kind"], run["status"], run["num_starts"]) == ("reader", "finished", 1)
    assert run["weights_sha256"] == config["weights_sha256"]
    mean = rag.json("train", "average", str(output), str(output), "--output", str(tmp_path / "mean"))
    assert mean["training"]["average_of"] == [config["weights_sha256"]] * 2
    rewritten = rag("train", "calibrate", "--data", str(path), "--weights", str(output), "--share", "1")
    assert "config.json rewritten: threshold" in rewritten.replace("\n", "")
    before = json.loads((output / "config.json").read_text())
    arguments = ["train", "calibrate", "--data", str(path), "--weights", str(output), "--share", "1"]
    after = rag.json(*arguments, "--faithfulness-only", "--questions", "20")
    assert {name for name in after if after[name] != before[name]} <= {"faithful"}
    assert set(after["faithful"]) == {"bias", *EVIDENCE_FEATURES}


def test_answer_is_explained_replayed_and_painted(rag: Command, folder: Path, tmp_path: Path) -> None:
    rag("db", "upgrade")
    rag("ingest", str(folder), status=3)
    shown = rag("ask", "Who keeps the support rota?", "--explain", "--heat-map", str(tmp_path / "map.html"))
    assert "copied from" in shown
    assert "Amara" in shown
    assert "Amara" in (tmp_path / "map.html").read_text(encoding="utf-8")
    answer = rag.json("ask", "Who keeps the support rota?", "--explain")
    tokens = answer["explanation"]["tokens"]
    assert [tokens[0]["start"], tokens[-1]["end"]] == [answer["citations"][0]["start"], answer["citations"][0]["end"]]
    explained = rag.json("answers", "explain", str(answer["id"]))
    assert explained["tokens"] == tokens
    assert "the same answer" in rag("answers", "replay", str(answer["id"]))
    assert rag.json("answers", "replay", str(answer["id"]))["changed"] == {}


def test_heat_map_into_a_folder_that_is_not_there_is_refused_before_asking(rag: Command, tmp_path: Path) -> None:
    rag("db", "upgrade")
    with pytest.raises(RagError, match="there is no folder"):
        rag("ask", "Who?", "--heat-map", str(tmp_path / "none" / "map.html"))


def test_what_is_lost_of_a_file_is_printed_and_the_status_stays_zero(rag: Command, tmp_path: Path) -> None:
    path = tmp_path / "damaged.txt"
    path.write_bytes(("naïve café " * 50).encode() + b"\xff")
    report = rag.json("ingest", str(path), "--dry-run")
    assert report["partly_read"] == [
        {"source": path.as_uri(), "reason": "1 place could not be decoded as utf-8 and now read U+FFFD."}
    ]
    shown = rag("ingest", str(path))
    assert "partly read" in shown
    assert "1 place could not be decoded" in shown


def test_rows_of_a_query_are_ingested(rag: Command, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE articles (number INTEGER, name TEXT, body TEXT)")
        connection.execute("INSERT INTO articles VALUES (7, 'Herons', 'Herons wade in shallow water.')")
    connection.close()
    source = ["--sql", f"sqlite:///{tmp_path / 'shop.db'}", "--query", "SELECT * FROM articles"]
    columns = ["--id-column", "number", "--title-column", "name", "--text-column", "body"]
    preview = rag.json("ingest", *source, *columns, "--dry-run")
    report = rag.json("ingest", *source, *columns)
    assert (report["num_added"], report["num_refused"]) == (preview["num_added"], preview["num_refused"]) == (1, 0)
    assert preview["run_id"] is None
    (hit, *_) = rag.json("search", "where do herons wade?")["hits"]
    assert hit["source"].startswith("sql:/")
    assert hit["source"].endswith("/shop.db?" + hit["source"].partition("?")[2].partition("#")[0] + "#7")
    refused = rag.json("ingest", *source, status=3)
    assert "has no column 'id'; it has number, name, body" in refused["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "nothing to ingest"),
        (["--sql", "sqlite:///x.db"], "belong together"),
        (["--query", "SELECT 1"], "belong together"),
        (["a.txt", "--sql", "sqlite:///x.db", "--query", "SELECT 1"], "are for files"),
        (["--prune", "--sql", "sqlite:///x.db", "--query", "SELECT 1"], "are for files"),
        (["--resume", "--dry-run"], "leave the rest out"),
    ],
)
def test_sources_that_do_not_go_together_are_named(rag: Command, arguments: list[str], reason: str) -> None:
    with pytest.raises(RagError, match=reason):
        rag("ingest", *arguments)


def test_fields_of_records_can_be_named(rag: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"key": 7, "name": "no", "head": "Herons", "story": "Herons wade."}\n{"key": 8}\n'
    )
    options = ["--text-field", "story", "--title-field", "head", "--id-field", "key"]
    report = rag.json("ingest", str(tmp_path / "a.jsonl"), *options, status=3)
    assert "unreadable lines: 2" in report["refused"][0]["reason"]
    (document,) = rag.json("documents", "list")["documents"]
    assert (document["title"], document["source"].partition("#")[2]) == ("Herons", "id=7")


def test_ingestion_status_counts_files_and_documents(rag: Command, folder: Path) -> None:
    rag("db", "upgrade")
    rag("ingest", str(folder), status=3)
    status = rag.json("ingest", "--status")
    assert status["status"] == "finished"
    assert status["files"]["refused"] == 1
    assert "files done" in rag("ingest", "--status")
    with pytest.raises(RagError, match="leave the rest out"):
        rag("ingest", str(folder), "--resume")
    with pytest.raises(RagError, match="has finished"):
        rag("ingest", "--resume")
