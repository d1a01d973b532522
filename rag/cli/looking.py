"""Options of the commands that look for something: how, what to leave out, and with whose eyes to look."""

from typing import Annotated, get_args

import typer

from rag.errors import InvalidInput
from rag.records import Caller, Fusion, SearchMode, SearchOptions

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="name=value, or with !=, >, >=, <, <=, or a JSON object with operators; may be given several times.",
    ),
]
CallerLabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--access-label",
        help="Look as someone who holds this label; may be given several times. Without it, all documents are seen.",
    ),
]

FusionOption = Annotated[str | None, typer.Option(help="How both legs are brought together: adaptive, convex or rrf.")]
KeywordWeightOption = Annotated[float | None, typer.Option(help="The keyword leg's share of that, 0 to 1.")]
CandidatesOption = Annotated[int | None, typer.Option(help="Passages that each leg proposes.")]
RerankOption = Annotated[
    bool | None, typer.Option("--rerank/--no-rerank", help="Whether the reader orders the first passages anew.")
]


def search_options(
    *,
    fusion: str | None,
    keyword_weight: float | None,
    candidates: int | None,
    rerank: bool | None,
    mode: str = "hybrid",
) -> SearchOptions:
    """The options of a search as they were typed.

    Raises:
        InvalidInput: there is no such mode or fusion.
    """
    if mode not in get_args(SearchMode):
        raise InvalidInput(f"The mode {mode!r} is unknown; it is hybrid, keyword or vector.")
    if fusion is not None and fusion not in get_args(Fusion):
        raise InvalidInput(f"The fusion {fusion!r} is unknown; it is adaptive, convex or rrf.")
    return SearchOptions(
        mode=mode,  # type: ignore[arg-type]
        fusion=fusion,  # type: ignore[arg-type]
        keyword_weight=keyword_weight,
        candidates=candidates,
        rerank=rerank,
    )


def caller_with(access_labels: list[str] | None) -> Caller:
    """Someone with these labels; the owner of the database where none are given."""
    return Caller(access_labels=frozenset(access_labels) if access_labels else None)
