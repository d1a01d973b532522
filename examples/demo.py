"""The Python face of the service: ask some questions, then look at the log with plain SQL.

rag db upgrade && rag ingest examples/handbook && python examples/demo.py
"""

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

import rag
from rag.cli.wording import confidence, place, quote_in_sentence

QUESTIONS = Path(__file__).with_name("demo_questions.txt")
LOG = """\
SELECT answer_id, question, answer, abstained, round(confidence, 2) AS confidence, num_citations, round(total_ms) AS ms
FROM answer_review ORDER BY answer_id DESC LIMIT 8"""


def readable(source: str) -> str:
    """A source as a path below the current folder, where it is one."""
    path = Path(unquote(urlsplit(source).path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else source


def main() -> None:
    """Ask every question of the list and show what was logged."""
    out = Console(highlight=False, soft_wrap=True)
    settings = rag.Settings()
    with rag.open(settings) as service:
        for question in QUESTIONS.read_text(encoding="utf-8").splitlines():
            answer = service.ask(question)
            out.print()
            out.print(Text(question, style="bold"))
            said = "Not in these documents." if answer.abstained else answer.answer
            out.print(Text(f"  {said}"), Text(f"({confidence(answer)})", style="dim"))
            for citation in answer.citations:
                quote = quote_in_sentence(citation, answer.passages, styled=out.is_terminal)
                where = " ".join(part for part in (readable(citation.source), place(citation)) if part)
                out.print(Text.assemble("    ", quote))
                out.print(Text(f"    {where}", style="dim"))
    out.print()
    out.print(Text(f"What was logged:\n{LOG};", style="dim"))
    with sqlite3.connect(settings.data_dir / "rag.db") as connection:
        rows = connection.execute(LOG)
        table = Table(*(column[0] for column in rows.description), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False, width=None if out.is_terminal else 180).print(table)


if __name__ == "__main__":
    main()
