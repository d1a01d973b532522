"""The shape of the code: floors, circles, sizes, names, and who may touch what."""

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"disk", "environment", "errors", "observer", "records"},
    {"cancellation", "config"},
    {"text", "transformer", "store", "shared"},
    {"index", "reader"},
    {
        "conversation",
        "ingest",
        "retriever",
        "generators",
        "scoring",
        "notes",
        "masking",
        "answer_queue",
        "repeated_answers",
    },
    {"answerer", "registry", "training"},
    {"backup", "evaluate", "replay", "review"},
    {"assemble"},
    {"web"},
    {"api"},
    {"cli"},
]
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
FILES = sorted((ROOT / "rag").rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"utils", "helpers", "common", "base", "manager", "handler", "types"}
# Wide handlers stand only at an outermost edge; each says why beside its noqa.
MAY_CATCH_ALL = {
    "ingest/readers/registry.py",
    "ingest/overlap.py",
    "index/micro_batches.py",
    "cli/main.py",
    "api/problems.py",
    "api/edge.py",
    "api/upload_worker.py",
    "store/log_writer.py",
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT / "rag").as_posix()


def _unit(path: Path) -> str:
    """The unit that a file belongs to; empty for the public face, rag/__init__.py, which stands above everything."""
    first = path.relative_to(ROOT / "rag").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _imports(path: Path) -> Iterator[str]:
    """The modules of rag that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "rag")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}: imports are absolute"
            if node.module and node.module.split(".")[0] == "rag":
                yield node.module


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_only_go_down(path: Path) -> None:
    unit = _unit(path)
    if not unit:
        return
    for module in _imports(path):
        other = module.split(".")[1] if "." in module else ""
        if other == unit:
            continue
        assert other in FLOOR_OF, f"{_name(path)} imports {module}, which stands on no floor"
        assert FLOOR_OF[other] < FLOOR_OF[unit], f"{_name(path)} on floor {FLOOR_OF[unit]} imports {module}"


def test_every_unit_has_a_floor() -> None:
    assert {_unit(path) for path in FILES} - {""} == set(FLOOR_OF)


def test_no_module_imports_itself_through_others() -> None:
    modules = {_module(path): path for path in FILES}
    graph = {
        name: {target for target in _imports(path) if target in modules and target != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*way, name))
            done.add(name)

    # The public face imports lazily on purpose: who imports rag.config runs it without importing what it offers.
    graph["rag"] = {"rag.config"}
    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_files_and_functions_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_names_say_what_things_are() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & VAGUE_NAMES


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_only_their_owners_touch_sql_and_the_environment(path: Path) -> None:
    unit, source = _unit(path), path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if any(name.split(".")[0] in ("sqlalchemy", "alembic") for name in names):
                assert unit == "store"
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            assert unit in ("config", "environment")


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_errors_are_caught_by_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("everything", "Exception", "BaseException"):
                assert _name(path) in MAY_CATCH_ALL, f"{_name(path)}:{node.lineno} catches {caught}"


def test_tree_of_the_readme_is_current() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs/write_tree.py"))["with_tree"](readme) == readme, "run docs/write_tree.py"
