"""Documents over REST as the page lists them: newest first, by name, by what they repeat, and their versions."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

pytestmark = pytest.mark.on_both

WORDS = "The office is open from eight to six. Visitors are met at the door by whoever invited them. " * 4


def test_documents_are_listed_newest_first_and_by_name(filled: TestClient, upload: Callable[..., Response]) -> None:
    url = "/v1/documents"

    def titles(**params: object) -> list[str]:
        return [one["title"] for one in filled.get(url, params=params).json()["documents"]]

    assert titles() == ["Support", "history"]
    assert titles(newest_first=True) == ["history", "Support"]
    assert titles(contains="SUPP") == ["Support"]
    assert titles(contains="upload:history", newest_first=True) == ["history"]
    assert upload("office.txt", WORDS).status_code == 201
    assert upload("office-again.txt", WORDS).status_code == 201
    assert upload("office-nearly.txt", WORDS + "Nobody else.").status_code == 201
    assert titles(duplicates="exact") == ["office again"]
    assert titles(duplicates="near") == ["office nearly"]
    assert filled.get(url, params={"duplicates": "some"}).status_code == 422


def test_versions_of_a_document_go_page_by_page(
    filled: TestClient, upload: Callable[..., Response], check_problem: Callable[..., str]
) -> None:
    (document,) = upload("support.md", "# Support\n\nThe rota is kept by Olga Holm.\n").json()["documents"]
    url = f"/v1/documents/{document['id']}/versions"
    whole = filled.get(url).json()
    assert [(one["version"], one["title"]) for one in whole["versions"]] == [(2, "Support"), (1, "Support")]
    assert whole["versions"][0]["text_sha256"] == document["text_sha256"]
    text = filled.get(f"/v1/documents/{document['id']}", params={"version": 1}).json()["text"]
    assert whole["versions"][1]["num_chars"] == len(text)
    first = filled.get(url, params={"limit": 1}).json()
    rest = filled.get(url, params={"cursor": first["next"]}).json()
    assert (first["versions"] + rest["versions"], rest["next"]) == (whole["versions"], None)
    other = next(one["id"] for one in filled.get("/v1/documents").json()["documents"] if one["id"] != document["id"])
    refused = filled.get(f"/v1/documents/{other}/versions", params={"cursor": first["next"]})
    assert "another list" in check_problem(refused, 422, "invalid-input")
    check_problem(filled.get("/v1/documents/99/versions"), 404, "not-found")
