"""``rag ask``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from rag.api.name_values import parse_filters
from rag.cli.explaining import print_explanation
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
from rag.cli.output import console, plain, print_json, require_folder_of, write_file
from rag.cli.state import settings_of
from rag.cli.wording import confidence, place, quote_in_sentence, short_source, synthetic
from rag.errors import InvalidInput
from rag.records import Answer

NUM_CLOSEST = 3
NEW = "new"


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    collection: Annotated[str, typer.Option(help="Where to look.")] = "default",
    top_k: Annotated[int | None, typer.Option(help="Passages that are read.")] = None,
    filter_: FilterOption = None,
    access_label: CallerLabelOption = None,
    fusion: FusionOption = None,
    keyword_weight: KeywordWeightOption = None,
    candidates: CandidatesOption = None,
    rerank: RerankOption = None,
    conversation: Annotated[
        str | None, typer.Option(help="The id of the conversation that it goes on with, or new to begin one.")
    ] = None,
    based_on: Annotated[int | None, typer.Option(help="The id of the answer that it builds on.")] = None,
    no_abstain: Annotated[bool, typer.Option("--no-abstain", help="Answer even below the threshold.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where each token of the answer comes from, and how surely.")
    ] = False,
    heat_map: Annotated[
        Path | None, typer.Option(help="Write the explanation as an HTML page with coloured passages.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as POST /v1/answers gives it.")] = False,
) -> None:
    """Answer a question from the documents, with citations."""
    from rag.api.schemas import AnswerResponse
    from rag.assemble import Rag
    from rag.store.answer_links import AnswerLinks
    from rag.web.heat_map import heat_map_page

    filters = parse_filters(filter_ or [], field="--filter")
    conversation_id = _conversation_id(conversation)
    require_folder_of(heat_map)
    with Rag(settings_of(context)) as service:
        answer = service.ask(
            question,
            collection=collection,
            top_k=top_k,
            filters=filters,
            search=search_options(fusion=fusion, keyword_weight=keyword_weight, candidates=candidates, rerank=rerank),
            abstain=not no_abstain,
            caller=caller_with(access_label),
            links=AnswerLinks(
                conversation_id=conversation_id,
                new_conversation=conversation == NEW,
                based_on_answer_id=based_on,
            ),
        )
        explanation = service.explain(answer) if explain or heat_map else None
    if explanation is not None and heat_map is not None:
        write_file(heat_map, heat_map_page(answer, explanation), what="heat map")
    if as_json:
        shown = AnswerResponse.from_record(answer).model_dump(mode="json")
        print_json({**shown, "explanation": asdict(explanation)} if explain and explanation is not None else shown)
        return
    print_answer(answer)
    if explain and explanation is not None:
        print_explanation(answer, explanation)


def print_answer(answer: Answer) -> None:
    """An answer for people."""
    out = console()
    if answer.standalone_question is not None:
        out.print(plain(f"understood as: {answer.standalone_question}", "dim"))
    if answer.abstained:
        out.print(Text("Not in these documents.", style="bold"), Text(f"({confidence(answer)})"))
        if answer.passages:
            out.print("The closest passages:")
        for hit in answer.passages[:NUM_CLOSEST]:
            where = " ".join(part for part in (hit.title, place(hit), synthetic(hit.origin)) if part)
            out.print(plain(f"  {where}: {' '.join(hit.text.split())[:160]}"))
    else:
        out.print(plain(answer.answer, "bold"), Text(f"({confidence(answer)})"))
        for start, end in answer.unsupported:
            out.print(plain(f"  no passage says: {answer.answer[start:end]}"))
        for number, citation in enumerate(answer.citations, start=1):
            where = ", ".join(part for part in (citation.title, place(citation), short_source(citation.source)) if part)
            out.print(plain(f"  [{number}] {where}{synthetic(citation.origin, before=' ')}"))
            quoted = quote_in_sentence(citation, answer.passages, styled=out.is_terminal)
            out.print(Text.assemble("      ", quoted))
    for note in answer.notes:
        out.print(plain(f"Note: {note}"))
    in_conversation = "" if answer.conversation_id is None else f" · conversation {answer.conversation_id}"
    told = f"answer {answer.id}{in_conversation} · {answer.timings_ms['total']:.0f} ms · {answer.model}"
    out.print(Text(told, style="dim"))


def _conversation_id(conversation: str | None) -> int | None:
    """The id that was given, None for a new conversation or none at all. Raises InvalidInput: it is neither."""
    if conversation is None or conversation == NEW:
        return None
    if not (conversation.isascii() and conversation.isdigit()):
        raise InvalidInput(f"--conversation {conversation!r} is neither an id nor {NEW}.")
    return int(conversation)
