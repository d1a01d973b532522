"""``rag search``."""

from typing import Annotated

import typer

from rag.api.name_values import parse_filters
from rag.cli.looking import CallerLabelOption, FilterOption, caller_with
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
    filter_: FilterOption = None,
    access_label: CallerLabelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find passages, with the score of each leg."""
    from rag.api.schemas import HitResponse
    from rag.assemble import Rag
    from rag.errors import InvalidInput

    if mode not in ("hybrid", "keyword", "vector"):
        raise InvalidInput(f"The mode {mode!r} is unknown; it is hybrid, keyword or vector.")
    filters = parse_filters(filter_ or [], field="--filter")
    with Rag(settings_of(context)) as service:
        hits = service.search(
            query,
            mode=mode,  # type: ignore[arg-type]
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
            f"{s:.3f}" if s is not None else "-" for s in (hit.scores.keyword, hit.scores.vector, hit.scores.fused)
        ]
        where = " ".join(part for part in (hit.title, place(hit)) if part)
        others = ", ".join(short_source(r.source) + synthetic(r.origin, before=" ") for r in hit.also_in)
        also = f" (also in {others})" if others else ""
        near = f" (near duplicate of document {hit.near_duplicate_of})" if hit.near_duplicate_of is not None else ""
        rows.append([str(rank), *scores, hit.origin, where + near + also, " ".join(hit.text.split())[:SHOWN_CHARS]])
    print_table(["", "keyword", "vector", "fused", "origin", "document", "passage"], rows)
