"""``rag answers queue`` and ``rag answers agreement``."""

from typing import Annotated

import typer

from rag.cli.output import note, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, operator

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CollectionOption = Annotated[str | None, typer.Option(help="Only this collection.")]
SHOWN_CHARS = 60


def queue(
    context: typer.Context,
    collection: CollectionOption = None,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """What to review first, and why; `rag answers rate ID up|down --review` takes an answer out of it."""
    from rag.api.paging import read_cursor
    from rag.api.review_schemas import QUEUE, ReviewQueueResponse
    from rag.store.audit import audit_reading
    from rag.store.review_queue import QueueCursor, list_queue

    after = QueueCursor.parse(read_cursor(cursor, QUEUE, first="")) if cursor else None
    with open_database(context) as database:
        with database.read() as session:
            queued = list_queue(session, collection=collection, after=after, limit=limit + 1)
        audit_reading(database, operator(), "answer.list", [one.answer_id for one in queued[:limit]])
    page = ReviewQueueResponse.from_records(queued, limit=limit)
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    if not page.answers:
        note("There is nothing to review.")
        return
    print_table(
        ["id", "asked at", "question", "answer", "confidence", "reasons"],
        [
            [
                answer.answer_id,
                f"{answer.created_at:%Y-%m-%d %H:%M:%S}",
                answer.question[:SHOWN_CHARS],
                "(not in these documents)" if answer.abstained else answer.answer[:SHOWN_CHARS],
                f"{answer.confidence:.2f}",
                ", ".join(_words(reason, answer.num_asked, answer.lowest_score) for reason in answer.reasons),
            ]
            for answer in page.answers
        ],
    )
    note_next(page.next)


def agreement(context: typer.Context, collection: CollectionOption = None, as_json: JsonOption = False) -> None:
    """How far each two reviewers agree on the answers that both judged: Cohen's kappa, and from how many."""
    from rag.api.review_schemas import AgreementListResponse, AgreementResponse
    from rag.review.agreement import agreements
    from rag.store.reviews import list_judgements

    with open_database(context) as database, database.read() as session:
        found = agreements(list_judgements(session, collection=collection))
    if as_json:
        listed = AgreementListResponse(agreements=[AgreementResponse.from_record(each) for each in found])
        print_json(listed.model_dump(mode="json"))
        return
    if not found:
        note("No answer has been judged by two reviewers; `rag answers rate ID up --review --user NAME` judges one.")
        return
    print_table(
        ["reviewers", "answers", "both good", "both bad", "differ", "alike", "by chance", "kappa"],
        [
            [
                f"{each.reviewer}, {each.other_reviewer}",
                each.num_answers,
                each.num_both_good,
                each.num_both_bad,
                each.num_only_reviewer_good + each.num_only_other_good,
                f"{each.observed:.2f}",
                f"{each.expected:.2f}",
                "" if each.kappa is None else f"{each.kappa:.2f}",
            ]
            for each in found
        ],
    )


def _words(reason: str, num_asked: int, lowest_score: float) -> str:
    return {
        "thumbs_down": "thumbs down",
        "asked_often": f"asked {num_asked} times",
        "low_score": f"a score of {lowest_score:.2f}",
        "scorers_disagree": "scorers disagree",
    }[reason]
