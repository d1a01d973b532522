"""How a search is made can be said with each request, and every hit tells why it is there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, LimitExceeded
from rag.reader.reader import ReaderPassage
from rag.records import Hit, SearchOptions

NOTES = {
    "rota.md": "The support rota is kept by Amara Diallo.",
    "phone.md": "Support is reached by phone on weekdays. The rota of the kitchen hangs on its door.",
    "town.md": "The company was founded in Lisbon.",
    "machine.md": "The largest machine is called heron.",
}
QUESTION = "Who keeps the support rota?"


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Rag]:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text)
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as service:
        service.ingest(folder)
        yield service


class _LastFirst:
    """A reader that likes each passage much better than the one before."""

    def relevance(self, _question: str, passages: Sequence[ReaderPassage]) -> list[float]:
        return [2.0 * number for number in range(len(passages))]


def _names(hits: Sequence[Hit]) -> list[str]:
    return [hit.source.rsplit("/", 1)[-1] for hit in hits]


def test_every_hit_has_its_place_in_both_legs(service: Rag) -> None:
    hits = service.search(QUESTION)
    by_name = dict(zip(_names(hits), (hit.scores for hit in hits), strict=True))
    assert (by_name["rota.md"].keyword_rank, by_name["rota.md"].vector_rank) == (1, 1)
    assert (by_name["phone.md"].keyword_rank, by_name["phone.md"].vector_rank) == (2, 2)
    assert (by_name["town.md"].keyword_rank, by_name["town.md"].keyword) == (None, None)
    assert sorted(scores.vector_rank or 0 for scores in by_name.values()) == [1, 2, 3, 4]
    assert all(scores.relevance is None for scores in by_name.values())


def test_the_weight_decides_between_the_legs(service: Rag) -> None:
    vector = service.search("machine rota", options=SearchOptions(mode="vector"))
    all_vector = service.search("machine rota", options=SearchOptions(keyword_weight=0.0))
    assert _names(all_vector) == _names(vector)
    keyword = service.search("machine rota", options=SearchOptions(mode="keyword"))
    all_keyword = service.search("machine rota", options=SearchOptions(keyword_weight=1.0))
    assert _names(all_keyword)[: len(keyword)] == _names(keyword)


def test_ranks_can_be_fused_instead_of_scores(service: Rag) -> None:
    hits = service.search(QUESTION, options=SearchOptions(fusion="rrf", keyword_weight=0.5))
    assert hits[0].scores.fused == pytest.approx(1.0)  # the first of both legs
    assert hits[1].scores.fused == pytest.approx(6 / 7)  # the second of both, with k = 5
    assert hits[2].scores.fused == pytest.approx(0.5 * 6 / 8)  # the third of one


def test_fewer_candidates_are_found(service: Rag) -> None:
    options = SearchOptions(mode="keyword", candidates=1)
    assert _names(service.search(QUESTION, options=options, top_k=1)) == ["rota.md"]
    # What is asked for is proposed, whatever the candidates.
    assert len(service.search(QUESTION, options=options, top_k=2)) == 2


def test_the_reader_orders_hits_anew(service: Rag) -> None:
    hits = service.search(QUESTION, options=SearchOptions(rerank=True))
    values = [(hit.scores.fused or 0) + (hit.scores.relevance or 0) for hit in hits]
    assert values == sorted(values, reverse=True)
    assert _names(hits)[0] == "rota.md"
    assert all(hit.scores.relevance is not None for hit in hits)


@pytest.mark.usefixtures("service")
def test_only_the_first_hits_are_ordered_anew(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, data_dir=tmp_path / "data", num_reranked=3, rerank=True)
    with Rag(settings) as turning:
        turning.__dict__["reader"] = _LastFirst()
        plain = _names(turning.search(QUESTION, options=SearchOptions(rerank=False)))
        assert _names(turning.search(QUESTION)) == [plain[2], plain[1], plain[0], plain[3]]
        # All three are read where only one is asked for.
        assert _names(turning.search(QUESTION, top_k=1)) == [plain[2]]


def test_answers_are_logged_with_how_their_passages_were_found_and_replayed_so(service: Rag) -> None:
    search = SearchOptions(fusion="rrf", keyword_weight=0.25, candidates=7, rerank=True)
    answer = service.ask(QUESTION, search=search)
    assert answer.passages[0].scores.keyword_rank == 1
    again = service.replay(answer.id)
    assert (again.same, again.same_passages, dict(again.changed)) == (True, True, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SearchOptions(keyword_weight=1.5), "between 0 and 1"),
        (SearchOptions(keyword_weight=-0.1), "between 0 and 1"),
        (SearchOptions(candidates=0), "at least 1"),
    ],
)
def test_option_out_of_its_range_is_refused(service: Rag, options: SearchOptions, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        service.search(QUESTION, options=options)


def test_too_many_candidates_are_refused_with_the_setting(service: Rag) -> None:
    with pytest.raises(LimitExceeded, match="at most 1000") as refused:
        service.search(QUESTION, options=SearchOptions(candidates=1_001))
    assert refused.value.setting == "max_candidates"
