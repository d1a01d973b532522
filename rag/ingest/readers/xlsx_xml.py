"""What openpyxl does not say of a sheet that it reads row by row: merged cells, and formulas without a value.

The XML is read as a stream (ECMA-376, part 1, section 18.3), so a large sheet takes little memory.
"""

import re
import zipfile
from dataclasses import dataclass, field
from posixpath import normpath

from lxml import etree
from openpyxl.utils.cell import range_boundaries

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_RANGE = re.compile(r"[A-Z]{1,3}[1-9]\d{0,6}:[A-Z]{1,3}[1-9]\d{0,6}")
_MAX_MERGED = 100_000
MAX_ROWS = 1_048_576  # Excel's own limit


@dataclass(slots=True)
class SheetFacts:
    """``merged``: for each cell that spans rows its first row, its column and its last row, sorted, all from 1."""

    merged: list[tuple[int, int, int]] = field(default_factory=list)
    num_lost_formulas: int = 0


def sheet_facts(archive: zipfile.ZipFile) -> dict[str, SheetFacts]:
    """The facts of each sheet, by its name; of a sheet whose part is not where it usually is, nothing."""
    paths = _sheet_paths(archive)
    return {name: _facts(archive, path) for name, path in paths.items() if path in archive.NameToInfo}


def _sheet_paths(archive: zipfile.ZipFile) -> dict[str, str]:
    if not {_WORKBOOK, _RELATIONS} <= archive.NameToInfo.keys():
        return {}
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    targets = {
        str(relation.get("Id")): str(relation.get("Target", ""))
        for relation in etree.fromstring(archive.read(_RELATIONS), parser)
    }
    workbook = etree.fromstring(archive.read(_WORKBOOK), parser)
    paths = {}
    for sheet in workbook.iter(f"{_SHEET}sheet"):
        target = targets.get(str(sheet.get(_RELATION)), "")
        paths[str(sheet.get("name"))] = target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")
    return paths


def _facts(archive: zipfile.ZipFile, path: str) -> SheetFacts:
    facts = SheetFacts()
    tags = (f"{_SHEET}row", f"{_SHEET}mergeCell")
    with archive.open(path) as stream:
        for _, element in etree.iterparse(stream, tag=tags, resolve_entities=False, no_network=True):
            if element.tag == tags[0]:
                facts.num_lost_formulas += sum(_is_lost_formula(cell) for cell in element)
            elif len(facts.merged) < _MAX_MERGED and _RANGE.fullmatch(str(element.get("ref"))):
                column, first_row, _, last_row = range_boundaries(str(element.get("ref")))
                if column and first_row and last_row and first_row < last_row:
                    facts.merged.append((first_row, column, last_row))
            element.clear()
            while element.getprevious() is not None:  # what was cleared still takes memory while it hangs in the tree
                del element.getparent()[0]
    facts.merged.sort()
    return facts


def _is_lost_formula(cell: etree._Element) -> bool:
    if cell.find(f"{_SHEET}f") is None:
        return False
    value = cell.find(f"{_SHEET}v")
    # A formula may well give an empty text; its cell then says that it is one.
    return (value is None or not value.text) and cell.get("t") != "str"
