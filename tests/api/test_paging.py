"""Every list is paged in the same way; a page neither repeats nor leaves out what others add or delete meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.api.paging import MAX_ID, cut_page, make_cursor, read_cursor
from rag.errors import InvalidInput

Upload = Callable[..., Response]
Check = Callable[..., str]


def pages(server: TestClient, path: str, name: str) -> list[list[Any]]:
    """All pages of a list, one entry each; ``name`` is the field that holds the entries."""
    found, cursor = [], ""
    while cursor is not None:
        page = server.get(path, params={"limit": 1, "cursor": cursor}).json()
        found.append(page[name])
        cursor = page["next"]
    return found


def test_all_lists_give_every_entry_once(server: TestClient, upload: Upload) -> None:
    for number in range(3):
        upload(f"{number}.txt", f"Whale number {number} sings.")
        upload("other.txt", "Whales are mammals.", collection=f"c{number}")
        server.post("/v1/datasets", json={"name": f"d{number}"})
        server.post("/v1/answers", json={"question": f"What does whale {number} do?"})
    entries = [page[0] for page in pages(server, "/v1/documents", "documents")]
    assert [document["title"] for document in entries] == ["0", "1", "2"]
    assert [page[0]["answer_id"] for page in pages(server, "/v1/answers", "answers")] == [3, 2, 1]
    names = [page[0]["name"] for page in pages(server, "/v1/collections", "collections")]
    assert names == ["c0", "c1", "c2", "default"]
    assert [page[0]["name"] for page in pages(server, "/v1/datasets", "datasets")] == ["d0", "d1", "d2"]
    entries = [page[0] for page in pages(server, "/v1/datasets/3", "documents")]
    assert [document["source"] for document in entries] == [f"upload:{number}.txt" for number in range(3)]
    entries = [page[0] for page in pages(server, "/v1/datasets/1/diff/3", "differences")]
    assert [difference["source"] for difference in entries] == ["upload:1.txt", "upload:2.txt"]


def test_page_goes_on_where_the_last_ended_although_entries_came_and_went(server: TestClient, upload: Upload) -> None:
    for number in range(4):
        upload(f"{number}.txt", f"Whale number {number} sings.")
        server.post("/v1/answers", json={"question": f"What does whale {number} do?"})
    documents = server.get("/v1/documents", params={"limit": 2}).json()
    answers = server.get("/v1/answers", params={"limit": 2}).json()
    server.delete("/v1/documents/1")
    server.delete("/v1/documents/2")
    upload("4.txt", "Whale number four sings.")
    server.post("/v1/answers", json={"question": "What does another do?"})
    rest = server.get("/v1/documents", params={"cursor": documents["next"]}).json()
    assert ([document["id"] for document in rest["documents"]], rest["next"]) == ([3, 4, 5], None)
    rest = server.get("/v1/answers", params={"cursor": answers["next"]}).json()
    assert [row["answer_id"] for row in rest["answers"]] == [2, 1]


@pytest.mark.parametrize("cursor", ["x", "é", "####", "W10", "bnVsbA", make_cursor("documents", "a"), "W" * 9000])
def test_a_cursor_that_no_list_has_given_is_refused(filled: TestClient, check_problem: Check, cursor: str) -> None:
    response = filled.get("/v1/documents", params={"cursor": cursor})
    assert "leave it out for the first page" in check_problem(response, 422, "invalid-input")


def test_cursor_of_another_list_is_refused() -> None:
    assert read_cursor(make_cursor("documents", 7), "documents", first=0) == 7
    assert read_cursor(make_cursor("collections", "wäl"), "collections", first="") == "wäl"
    assert read_cursor("", "collections", first="") == ""
    for cursor in (make_cursor("answers", 7), make_cursor("documents", MAX_ID + 1), make_cursor("documents", -1)):
        with pytest.raises(InvalidInput, match="another list"):
            read_cursor(cursor, "documents", first=0)


def test_last_page_has_no_cursor() -> None:
    assert cut_page([1, 2], "numbers", limit=2, key=int) == ([1, 2], None)
    assert cut_page([1, 2, 3], "numbers", limit=2, key=int) == ([1, 2], make_cursor("numbers", 2))
    assert cut_page([], "numbers", limit=2, key=int) == ([], None)


@pytest.mark.parametrize("moment", ["2025", "0.5", "-1"])
def test_bare_number_is_no_moment(server: TestClient, check_problem: Check, moment: str) -> None:
    response = server.get("/v1/answers", params={"since": moment})
    assert "2025-06-30" in check_problem(response, 422, "invalid-input")
    assert server.get("/v1/answers", params={"since": "2025-06-30"}).status_code == 200
