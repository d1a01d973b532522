"""Writes the tree of the README from the first line of each module's docstring: python docs/write_tree.py"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- tree: written by docs/write_tree.py -->\n", "<!-- end of tree -->\n"
BESIDE = {
    "migrations/": "Alembic, the same for SQLite and PostgreSQL",
    "tests/": "mirrors rag/",
    "examples/": "a handbook to try it on, thirty questions about it, the demo",
    "benchmarks/": "what is timed, one command each",
    "docs/": "architecture, figures, this tree",
}


def first_line(path: Path) -> str:
    """What a module says of itself in one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("``", "`").rstrip(".")


def tree() -> str:
    """The tree as the README shows it."""
    lines = []

    def walk(folder: Path, indent: str) -> None:
        own = folder / "__init__.py"
        said = first_line(own) if own.is_file() else ""
        lines.append(f"{indent}{folder.name}/  {said}".rstrip())
        entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
        for path in entries:
            if path.is_dir() and any(path.rglob("*.py")) and path.name != "__pycache__":
                walk(path, indent + "  ")
            elif path.suffix == ".py" and path.name != "__init__.py":
                lines.append(f"{indent}  {path.name}  {first_line(path)}")

    walk(ROOT / "rag", "")
    lines += [f"{name}  {said}" for name, said in BESIDE.items()]
    return "\n".join(lines)


def with_tree(readme: str) -> str:
    """The README with its tree written anew."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}```text\n{tree()}\n```\n{END}{after}"


def main() -> None:
    """Write the README."""
    path = ROOT / "README.md"
    path.write_text(with_tree(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
