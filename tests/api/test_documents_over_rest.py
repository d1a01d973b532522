"""Uploading, listing, showing and deleting documents over REST."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.assemble import Rag

pytestmark = pytest.mark.on_both

Check = Callable[..., str]
Upload = Callable[..., Response]


def test_upload_returns_what_is_known_of_the_document(filled: TestClient, upload: Upload) -> None:
    (document,) = upload(
        "Ärger 1.txt", "Some words.", collection="other", tags=["team=ops", '{"year": "2024"}']
    ).json()["documents"]
    assert document["collection"] == "other"
    assert document["source"] == "upload:Ärger 1.txt"
    assert document["tags"] == {"team": "ops", "year": "2024"}
    assert (document["origin"], document["version"], document["deleted_at"]) == ("real", 1, None)
    assert {c["name"] for c in filled.get("/v1/collections").json()["collections"]} == {"default", "other"}


def test_file_of_many_documents_returns_them_all(upload: Upload) -> None:
    documents = upload("rows.jsonl", '{"text": "The first words."}\n{"text": "Other things."}\n').json()["documents"]
    assert len(documents) == 2
    assert len({document["source"] for document in documents}) == 2


def test_upload_says_what_was_lost_of_the_file_as_an_ingestion_does(
    service: Rag, upload: Upload, tmp_path: Path
) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("hours.txt", "Open from nine to five.")
        archive.writestr("door.exe", b"\x00\x01")
    report = service.ingest(packed, collection="files")
    lost = upload("packed.zip", packed.read_bytes()).json()["partly_read"]
    assert [entry["source"] for entry in lost] == ["upload:packed.zip"]
    assert [entry["reason"] for entry in lost] == [entry.reason for entry in report.partly_read]
    assert "door.exe" in lost[0]["reason"]
    assert upload("packed.zip", packed.read_bytes()).json()["partly_read"] == lost, "unchanged, and as much is lost"
    assert upload("whole.txt", "Some words.").json()["partly_read"] == []


def test_same_words_under_another_name_are_a_duplicate_and_found_once(filled: TestClient, upload: Upload) -> None:
    words = "Whales are mammals and breathe air."
    (first,) = upload("whales.txt", words).json()["documents"]
    (second,) = upload("copy.txt", words).json()["documents"]
    assert second["duplicate_of"] == first["id"]
    hits = filled.post("/v1/search", json={"query": "whales", "mode": "keyword"}).json()["hits"]
    assert [hit["also_in"] for hit in hits] == [
        [{"document_id": second["id"], "title": "copy", "source": "upload:copy.txt", "origin": "real"}]
    ]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({}, ["Support", "history"]),
        ({"filter": "team=ops"}, ["Support"]),
        ({"filter": ["team=board", "year=1987"]}, ["history"]),
        ({"filter": ["team=board", "year=1988"]}, []),
        ({"filter": "origin=synthetic"}, ["history"]),
    ],
)
def test_list_is_filtered(filled: TestClient, query: dict[str, str], titles: list[str]) -> None:
    assert [d["title"] for d in filled.get("/v1/documents", params=query).json()["documents"]] == titles


def test_filter_without_a_value_is_refused(filled: TestClient, check_problem: Check) -> None:
    assert "name=value" in check_problem(filled.get("/v1/documents?filter=team"), 422, "invalid-input")


def test_last_page_has_no_next_one(filled: TestClient) -> None:
    page = filled.get("/v1/documents", params={"limit": 2}).json()
    assert (len(page["documents"]), page["next"]) == (2, None)


def test_deleted_document_is_listed_only_on_demand_and_still_shows_its_text(filled: TestClient) -> None:
    assert filled.delete("/v1/documents/1").status_code == 204
    assert [d["id"] for d in filled.get("/v1/documents").json()["documents"]] == [2]
    listed = filled.get("/v1/documents", params={"include_deleted": True}).json()["documents"]
    assert [d["id"] for d in listed] == [1, 2]
    shown = filled.get("/v1/documents/1").json()
    assert "Amara Diallo" in shown["text"]
    assert shown["deleted_at"] is not None


def test_version_shows_its_own_text_and_names_the_current_one(filled: TestClient, upload: Upload) -> None:
    upload("support.md", "# Help\n\nThe rota is kept by Jonas Weber.")
    old = filled.get("/v1/documents/1", params={"version": 1}).json()
    new = filled.get("/v1/documents/1").json()
    assert (old["version"], old["current_version"], old["title"]) == (1, 2, "Support")
    assert (new["version"], new["current_version"], new["title"]) == (2, 2, "Help")
    assert old["text_sha256"] != new["text_sha256"]
    assert all(new["text"][s["start"] : s["end"]] for s in new["sections"])


def test_passages_are_those_that_searches_find_in_the_order_of_the_text(filled: TestClient, upload: Upload) -> None:
    upload("support.md", "# Help\n\nThe rota is kept by Jonas Weber.\n\n# Phone\n\nIt rings " + "at night " * 150)
    shown = filled.get("/v1/documents/1").json()
    starts = [passage["start"] for passage in shown["passages"]]
    assert len(starts) > 1
    assert starts == sorted(starts)
    hits = filled.post("/v1/search", json={"query": "rota phone night", "top_k": 8}).json()["hits"]
    found = {(hit["id"], hit["start"], hit["end"]) for hit in hits if hit["document_id"] == 1}
    assert found == {(passage["id"], passage["start"], passage["end"]) for passage in shown["passages"]}
    assert filled.get("/v1/documents/1", params={"version": 1}).json()["passages"] == []
    assert filled.delete("/v1/documents/1").status_code == 204
    assert filled.get("/v1/documents/1").json()["passages"] == []


def test_unknown_version_names_the_current_one(filled: TestClient, check_problem: Check) -> None:
    response = filled.get("/v1/documents/1", params={"version": 7})
    assert "current one is 1" in check_problem(response, 404, "not-found")


@pytest.mark.parametrize(
    ("name", "words"),
    [("../../etc/passwd", "passwd has no ending"), ("..", "has no"), ("/", "no name"), ("a/", "has no ending")],
)
def test_name_that_is_a_path_leads_nowhere(upload: Upload, check_problem: Check, name: str, words: str) -> None:
    response = upload(name, "root:x:0:0")
    kind = response.json()["type"].rpartition(":")[2]
    assert kind in ("unreadable-document", "invalid-input")
    assert words in check_problem(response, 422, kind)


def test_citation_counts_code_points_in_a_text_with_emoji(filled: TestClient) -> None:
    answer = filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    (citation,) = answer["citations"]
    text = filled.get(f"/v1/documents/{citation['document_id']}").json()["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"] == "Amara Diallo"
    assert "🦩" in text[: citation["start"]]
