"""``rag search``."""

from typing import Annotated

import typer

from rag.api.name_values import parse_filters
from rag.cli.looking import (
    CallerLabelOption,
    CandidatesOption,
    FilterOption,
    FusionOption,
    KeywordWeightOption,
    RerankOption,
    caller_with,
    search_options,
)
from rag.cli.output import print_json, print_table
from rag.cli.state import settings_of
from rag.cli.wording import place, short_source, synthetic

SHOWN_CHARS = 100


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Annotated[str, typer.Option(help="hybrid, keyword or vector.")] = "hybrid",
    collection: Annotated[str, typer.Option(help="Where to look.")] = "default",
    top_k: Annotated[int | None, typer.Option(help="How many passages.")] = None,
    fusion: FusionOption = None,
    keyword_weight: KeywordWeightOption = None,
    candidates: CandidatesOption = None,
    rerank: RerankOption = None,
    filter_: FilterOption = None,
    access_label: CallerLabelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find passages, with what each leg says of them: the score, and the place in what it found."""
    from rag.api.schemas import HitResponse
    from rag.assemble import Rag

    filters = parse_filters(filter_ or [], field="--filter")
    with Rag(settings_of(context)) as service:
        hits = service.search(
            query,
            options=search_options(
                mode=mode, fusion=fusion, keyword_weight=keyword_weight, candidates=candidates, rerank=rerank
            ),
            collection=collection,
            top_k=top_k,
            filters=filters,
            caller=caller_with(access_label),
        )
    if as_json:
        print_json({"hits": [HitResponse.from_record(hit).model_dump(mode="json") for hit in hits]})
        return
    rows = []
    for rank, hit in enumerate(hits, start=1):
        scores = [
            _leg(hit.scores.keyword, hit.scores.keyword_rank),
            _leg(hit.scores.vector, hit.scores.vector_rank),
            _score(hit.scores.fused),
            _score(hit.scores.relevance),
        ]
        where = " ".join(part for part in (hit.title, place(hit)) if part)
        others = ", ".join(short_source(r.source) + synthetic(r.origin, before=" ") for r in hit.also_in)
        also = f" (also in {others})" if others else ""
        near = f" (near duplicate of document {hit.near_duplicate_of})" if hit.near_duplicate_of is not None else ""
        rows.append([str(rank), *scores, hit.origin, where + near + also, " ".join(hit.text.split())[:SHOWN_CHARS]])
    print_table(["", "keyword", "vector", "fused", "relevance", "origin", "document", "passage"], rows)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _leg(score: float | None, rank: int | None) -> str:
    return _score(score) if rank is None else f"{_score(score)} (#{rank})"
