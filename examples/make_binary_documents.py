"""Writes the PDF and DOCX documents of the handbook, the damaged PDF among them.

Their words stand here, so that they can be read and changed. The output is the same on every run.
"""

import datetime
from pathlib import Path

from docx import Document
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

HANDBOOK = Path(__file__).parent / "handbook"

DISASTER = [
    [
        ("h", "Disaster recovery"),
        ("p", "This plan says what to do when the machine that holds the database is lost."),
        (
            "p",
            "Backups are written every night at 02:30 and copied to the data centre in Ghent. A backup is one file that "
            "holds the database, the index snapshots and the settings. Indexes need not be restored: they are rebuilt from "
            "the database, which takes about four minutes for 100,000 passages on two cores.",
        ),
        (
            "p",
            "The recovery time objective is six hours. The recovery point objective is twenty-four hours, since no more "
            "than one night lies between two backups.",
        ),
    ],
    [
        ("h", "Who decides"),
        (
            "p",
            "Only the head of operations or her deputy may declare a disaster. The deputy is Oskar Lindqvist. They "
            "telephone the hosting company first and the customers second.",
        ),
        (
            "p",
            "The plan is rehearsed twice a year, in March and in September. In the rehearsal of September 2024 the service "
            "was back after three hours and ten minutes.",
        ),
    ],
]
READER_PAPER = [
    [
        ("h", "How the reader was built"),
        (
            "p",
            "The reader is one network with an encoder, a decoder and three heads. Its encoder has six layers and was "
            "started from a sentence embedding model. The decoder has three layers and was started from the last three "
            "layers of the encoder.",
        ),
        (
            "p",
            "A start and end head marks where an answer may begin and end. A relevance head says whether a passage holds "
            "an answer at all. A pointer lets the decoder copy words, so that each of them can be traced to its source.",
        ),
    ],
    [
        ("h", "How it was trained"),
        (
            "p",
            "Each training step showed twenty-four questions with the passage that answers them, and eight passages that "
            "mislead. Three in four of these were found by keyword search, the rest were drawn at random.",
        ),
        (
            "p",
            "Five percent of the articles were kept out of the training. They served to calibrate the confidence and to "
            "choose the threshold below which the reader does not answer.",
        ),
    ],
]
TRAVEL = [
    [
        ("h", "Travel expenses"),
        (
            "p",
            "Journeys of less than four hours are made by train. Flights need the consent of the team lead. Hotels are "
            "paid up to 140 euros a night, breakfast included.",
        ),
        (
            "p",
            "Receipts are handed in within thirty days. The money is paid with the salary of the following month. Questions "
            "go to Beatriz Nunes in the finance team.",
        ),
    ]
]


def write_pdf(name: str, pages: list[list[tuple[str, str]]], *, title: str) -> None:
    """A PDF of headings and paragraphs; ``invariant`` keeps dates and ids out of it."""
    styles = getSampleStyleSheet()
    story = []
    for number, page in enumerate(pages):
        if number:
            story.append(PageBreak())
        for kind, words in page:
            story += [Paragraph(words, styles["Heading1" if kind == "h" else "BodyText"]), Spacer(1, 6)]
    SimpleDocTemplate(str(HANDBOOK / name), pagesize=A4, title=title, author="", invariant=1).build(story)


def write_damaged_pdf() -> None:
    """A scan whose transfer broke off: the beginning of a PDF, and nothing that a parser could hold on to."""
    whole = (HANDBOOK / "team/travel-expenses.pdf").read_bytes()
    (HANDBOOK / "archive/damaged-scan.pdf").write_bytes(whole[:300].replace(b"obj", b"\x00\xff\x00"))


def write_onboarding() -> None:
    """A DOCX with headings, a list and a table."""
    document = _new_document("Onboarding")
    document.add_heading("Onboarding", level=1)
    document.add_paragraph(
        "New members of the team spend their first week with a guide. The guide for 2025 is Henrik Sørensen."
    )
    document.add_heading("The first day", level=2)
    for item in (
        "Collect the laptop at the desk on the third floor.",
        "Choose a password of at least sixteen characters.",
    ):
        document.add_paragraph(item, style="List Bullet")
    document.add_heading("Whom to ask", level=2)
    rows = [
        ("Subject", "Person"),
        ("Access rights", "Nadia Petrova"),
        ("Payroll", "Beatriz Nunes"),
        ("Keys", "Tom Byrne"),
    ]
    table = document.add_table(rows=0, cols=2)
    for row in rows:
        cells = table.add_row().cells
        cells[0].text, cells[1].text = row
    document.save(str(HANDBOOK / "team/onboarding.docx"))


def write_style_guide() -> None:
    """A DOCX of plain paragraphs under headings."""
    document = _new_document("Writing style")
    document.add_heading("Writing style", level=1)
    document.add_paragraph(
        "Documents that are easy to read are easy to search. Put one subject under one heading, and name the subject in "
        "the first sentence, because a passage may be read without its neighbours."
    )
    document.add_heading("Numbers and dates", level=2)
    document.add_paragraph(
        "Write dates as day, month and year, such as 9 July 2024. Give every number its unit. Do not write soon or "
        "recently: a reader cannot know when the sentence was written."
    )
    document.add_heading("Length", level=2)
    document.add_paragraph("A sentence has at most twenty-five words. A document longer than ten pages is split.")
    document.save(str(HANDBOOK / "team/writing-style.docx"))


def _new_document(title: str) -> Document:
    document = Document()
    day = datetime.datetime(2025, 1, 1)
    properties = document.core_properties
    properties.title, properties.author = title, ""
    properties.created = properties.modified = day
    return document


def main() -> None:
    """Write all of them."""
    write_pdf("team/disaster-recovery.pdf", DISASTER, title="Disaster recovery")
    write_pdf("models/reader.pdf", READER_PAPER, title="The reader")
    write_pdf("team/travel-expenses.pdf", TRAVEL, title="Travel expenses")
    write_damaged_pdf()
    write_onboarding()
    write_style_guide()


if __name__ == "__main__":
    main()
