"""``rag answers``."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli import replaying, review
from rag.cli.ask import print_answer
from rag.cli.explaining import print_explanation
from rag.cli.output import console, note, plain, print_json, print_table, require_folder_of, write_file
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, operator, settings_of
from rag.cli.wording import synthetic

if TYPE_CHECKING:
    from rag.store.answer_review import ReviewRow

app = typer.Typer(help="The log of questions and answers.", no_args_is_help=True)
app.command("replay")(replaying.replay)
app.command("queue")(review.queue)
app.command("agreement")(review.agreement)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AnswerId = Annotated[int, typer.Argument(help="The answer's id.")]
RATINGS = {"up": 1, "down": -1}
RATING_WORDS: dict[int | None, str] = {rating: word for word, rating in RATINGS.items()}
SHOWN_CHARS = 60


@app.command("list")
def list_some(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    abstained: Annotated[bool | None, typer.Option("--abstained/--answered", help="Only withheld or given.")] = None,
    min_confidence: Annotated[float | None, typer.Option(help="0 to 1.")] = None,
    max_confidence: Annotated[float | None, typer.Option(help="0 to 1.")] = None,
    rating: Annotated[str | None, typer.Option(help="up or down.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this moment on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this moment, UTC.")] = None,
    contains: Annotated[str | None, typer.Option(help="In question or answer.")] = None,
    user: Annotated[str | None, typer.Option(help="Who asked.")] = None,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Logged answers, newest first: the rows of the SQL view answer_review. With --json, all of its columns."""
    from rag.api.answer_pages import answers_after, page_of_answers
    from rag.api.schemas import AnswerListResponse, AnswerSummary
    from rag.store.answer_order import NEWEST_FIRST
    from rag.store.answer_review import list_answers
    from rag.store.audit import audit_reading

    with open_database(context) as database:
        with database.read() as session:
            rows = list_answers(
                session,
                collection=collection,
                abstained=abstained,
                min_confidence=min_confidence,
                max_confidence=max_confidence,
                rating=None if rating is None else _rating(rating),
                since=since,
                until=until,
                contains=contains,
                user_id=user,
                after=answers_after(cursor, NEWEST_FIRST),
                limit=limit + 1,  # one more than is shown tells whether there is a next page
            )
        rows, following = page_of_answers(rows, NEWEST_FIRST, limit=limit)
        audit_reading(database, operator(), "answer.list", [row.answer_id for row in rows])
    if as_json:
        page = AnswerListResponse(answers=[AnswerSummary.from_record(row) for row in rows], next=following)
        print_json(page.model_dump(mode="json"))
        return
    if not rows:
        note("No answer to show; `rag ask QUESTION` logs one.")
        return
    _print_list(rows)
    note_next(following)


@app.command()
def show(context: typer.Context, answer_id: AnswerId, as_json: JsonOption = False) -> None:
    """Everything that was logged of one answer."""
    from rag.api.schemas import LoggedAnswerResponse
    from rag.store.answers import get_answer
    from rag.store.audit import audit_reading

    with open_database(context) as database:
        with database.read() as session:
            logged = get_answer(session, answer_id)
        audit_reading(database, operator(), "answer.read", [answer_id])
    if as_json:
        print_json(LoggedAnswerResponse.from_record(logged).model_dump(mode="json"))
        return
    out = console()
    out.print(plain(logged.answer.question or "(anonymised)"))
    print_answer(logged.answer)
    for hit in logged.answer.passages:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in asdict(hit.scores).items() if value is not None)
        out.print(plain(f"  passage {hit.passage_id} of {hit.title}{synthetic(hit.origin, before=' ')}: {scores}"))
    for name, value in logged.answer.scores.items():
        out.print(plain(f"  {name}: {value:.3f}"))
    if logged.dataset is not None:
        out.print(plain(f"  asked of dataset {logged.dataset} of {logged.answer.collection}"))
    for given in logged.feedback:
        words = " · ".join(
            part for part in (given.comment, given.corrected_answer, _wrong(given.wrong_passage_id)) if part
        )
        verb = "reviewed" if given.is_review else "rated"
        out.print(plain(f"  {verb} {'up' if given.rating > 0 else 'down'} {words}".rstrip()))


@app.command()
def explain(
    context: typer.Context,
    answer_id: AnswerId,
    heat_map: Annotated[
        Path | None, typer.Option(help="Write an HTML page with coloured passages instead of printing.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Where each token of a logged answer comes from: its question is read again over its passages."""
    from rag.assemble import Rag
    from rag.store.answers import get_answer
    from rag.store.audit import audit_reading
    from rag.web.heat_map import heat_map_page

    require_folder_of(heat_map)
    with Rag(settings_of(context)) as service:
        with service.database.read() as session:
            answer = get_answer(session, answer_id).answer
        audit_reading(service.database, operator(), "answer.read", [answer_id])
        explanation = service.explain(answer)
    if heat_map is not None:
        write_file(heat_map, heat_map_page(answer, explanation), what="heat map")
    elif as_json:
        print_json(asdict(explanation))
    else:
        console().print(plain(answer.question))
        print_explanation(answer, explanation)


@app.command()
def rate(
    context: typer.Context,
    answer_id: AnswerId,
    rating: Annotated[str, typer.Argument(help="up or down.")],
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    corrected_answer: Annotated[str | None, typer.Option(help="What it should have said.")] = None,
    wrong_passage: Annotated[int | None, typer.Option(help="Id of the passage, of those read, that is wrong.")] = None,
    is_review: Annotated[bool, typer.Option("--review", help="A reviewer's judgement, not the asker's thumb.")] = False,
    user: Annotated[str | None, typer.Option(help="Who rates.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether an answer was good."""
    from rag.api.schemas import FeedbackResponse
    from rag.masking import mask_of
    from rag.store.answers import add_feedback, get_answer

    mask = mask_of(settings_of(context))
    with open_database(context) as database, database.write() as session:
        feedback_id = add_feedback(
            session,
            answer_id,
            rating=_rating(rating),
            comment=mask.remark(comment, "comment"),
            corrected_answer=mask.remark(corrected_answer, "corrected_answer"),
            wrong_passage_id=wrong_passage,
            is_review=is_review,
            user_id=user,
        )
        logged = get_answer(session, answer_id)
    if as_json:
        given = next(feedback for feedback in logged.feedback if feedback.id == feedback_id)
        print_json(FeedbackResponse.from_record(given).model_dump(mode="json"))
    else:
        console().print(f"answer {answer_id} rated {rating}")


def _print_list(rows: "list[ReviewRow]") -> None:
    print_table(
        ["id", "asked at", "question", "answer", "confidence", "rating", "ms"],
        [
            [
                row.answer_id,
                f"{row.created_at:%Y-%m-%d %H:%M:%S}",
                row.question[:SHOWN_CHARS] or "(anonymised)",
                "(not in these documents)" if row.abstained else row.answer[:SHOWN_CHARS],
                f"{row.confidence:.2f}",
                RATING_WORDS.get(row.rating, ""),
                f"{row.total_ms:.0f}" if row.total_ms is not None else "",
            ]
            for row in rows
        ],
    )


def _wrong(passage_id: int | None) -> str | None:
    return None if passage_id is None else f"passage {passage_id} is wrong"


def _rating(word: str) -> int:
    from rag.errors import InvalidInput

    if word not in RATINGS:
        raise InvalidInput(f"The rating {word!r} is unknown; it is up or down.")
    return RATINGS[word]
