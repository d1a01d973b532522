"""Equations of Office files (OMML, ECMA-376, part 1, section 22.1) on one line: ``10^(-6)``, ``(a+b)/2``, ``√(x)``."""

from rag.ingest.readers.drawings import Element

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
EQUATION = f"{_MATH}oMath"
_PROPERTIES = "Pr"
_NARY_DEFAULT = "\u222b"  # what the standard says of a sum without a sign: an integral
_MAX_DEPTH = 60


def equation_text(element: Element, depth: int = 0) -> str:
    """What an equation says; only what changes its meaning is marked: fractions, powers, indexes, roots."""
    if depth > _MAX_DEPTH:
        return "".join(text.text or "" for text in element.iter(f"{_MATH}t"))

    def part(name: str) -> str:
        found = element.find(f"{_MATH}{name}")
        return "" if found is None else equation_text(found, depth + 1)

    kind = str(element.tag).removeprefix(_MATH)
    if kind == "t":
        return element.text or ""
    if kind == "f":
        return f"{_grouped(part('num'))}/{_grouped(part('den'))}"
    if kind in ("sSup", "sSub", "sSubSup"):
        return _grouped(part("e")) + _attached("_", part("sub")) + _attached("^", part("sup"))
    if kind == "rad":
        return f"{_attached('^', part('deg'))}\u221a({part('e')})"
    if kind == "nary":
        return f"{_sign(element)}{_attached('_', part('sub'))}{_attached('^', part('sup'))} {part('e')}"
    if kind in ("limLow", "limUpp"):
        return part("e") + _attached("_" if kind == "limLow" else "^", part("lim"))
    if kind == "func":
        return f"{part('fName')} {part('e')}".strip()
    pieces = [equation_text(child, depth + 1) for child in element if not _is_property(child)]
    if kind == "d":
        return f"{_property(element, 'begChr', '(')}{', '.join(pieces)}{_property(element, 'endChr', ')')}"
    if kind in ("m", "eqArr"):
        return f"[{'; '.join(pieces)}]"
    return (", " if kind == "mr" else "").join(pieces)


def _is_property(element: Element) -> bool:
    return not str(element.tag).startswith(_MATH) or str(element.tag).endswith(_PROPERTIES)


def _sign(nary: Element) -> str:
    return _property(nary, "chr", _NARY_DEFAULT)


def _property(element: Element, name: str, default: str) -> str:
    found = element.find(f"{element.tag}Pr/{_MATH}{name}")
    return default if found is None else str(found.get(f"{_MATH}val", ""))


def _attached(mark: str, text: str) -> str:
    return f"{mark}{_grouped(text)}" if text else ""


def _grouped(text: str) -> str:
    return text if text.replace(".", "").isalnum() or (text[:1], text[-1:]) == ("(", ")") else f"({text})"
