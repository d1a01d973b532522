"""``rag answers replay``."""

from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.output import console, plain, print_json
from rag.cli.state import operator, settings_of
from rag.records import Hit

SHOWN_CHARS = 70
_MARKS = {"kept": "", "removed": "-", "added": "+"}

if TYPE_CHECKING:
    from rag.replay import Replay  # which loads torch; `rag --help` does without


def replay(
    context: typer.Context,
    answer_id: Annotated[int, typer.Argument(help="The answer's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a logged question again as it was asked: the same words, or what is different now and why."""
    from rag.api.replay_schemas import ReplayResponse
    from rag.assemble import Rag
    from rag.store.audit import audit_reading

    with Rag(settings_of(context)) as service:
        found = service.replay(answer_id)
        audit_reading(service.database, operator(), "answer.read", [answer_id])
    if as_json:
        print_json(ReplayResponse.from_record(found).model_dump(mode="json"))
    else:
        print_replay(found)


def print_replay(found: "Replay") -> None:
    """A replay for people: removed words in [-...], added ones in [+...]."""
    out = console()
    out.print("the same answer" if found.same else "another answer:", style="bold")
    if not found.same:
        out.print(plain(f"  then: {_words(found.answer_then, abstained=found.abstained_then)}"))
        out.print(plain(f"  now:  {_words(found.answer, abstained=found.abstained)}"))
        if found.answer_then and found.answer and found.answer_then != found.answer:
            out.print(plain(f"  difference: {_difference(found)}"))
    out.print(f"confidence {found.confidence:.4f} ({found.confidence - found.confidence_then:+.4f})")
    for hit in found.passages_entered:
        out.print(plain(f"  + read now:  {_shown(hit)}"))
    for lost in found.passages_left:
        state = "" if lost.source_state == "unchanged" else f" (its document: {lost.source_state})"
        out.print(plain(f"  - read then: {_shown(lost.hit)}{state}"))
    for reason in found.reasons:
        out.print(plain(f"  {reason}"))


def _words(answer: str, *, abstained: bool) -> str:
    return "(not in these documents)" if abstained else answer


def _difference(found: "Replay") -> str:
    return " ".join(f"[{mark}{one.words}]" if (mark := _MARKS[one.change]) else one.words for one in found.word_changes)


def _shown(hit: Hit) -> str:
    return f"passage {hit.passage_id} of {hit.title}: {' '.join(hit.text.split())[:SHOWN_CHARS]}"
