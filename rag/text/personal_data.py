"""Finds personal data that has a form: e-mail addresses, telephone numbers, payment cards, IBANs and IP addresses.

Rules propose, libraries decide: ``email-validator`` (RFC 5321, 5322), ``phonenumbers`` (Google's table of the numbers
of each country, ITU-T E.164), ``pydantic-extra-types`` (cards: length, issuer and check digit, ISO/IEC 7812; IBANs:
length by country and check digits, ISO 13616) and ``ipaddress``. Names and postal addresses have no form that could be
checked, so they are not found.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from string import hexdigits
from typing import get_args

from email_validator import EmailNotValidError, validate_email
from phonenumbers import SUPPORTED_REGIONS, Leniency, PhoneNumberMatch, PhoneNumberMatcher
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_extra_types.iban import IBAN
from pydantic_extra_types.payment import PaymentCardBrand, PaymentCardNumber

from rag.records import PersonalDataKind

KINDS: tuple[PersonalDataKind, ...] = get_args(PersonalDataKind)
_SUREST_FIRST: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "phone")

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}+@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W_](?:[\w-]*[^\W_])?")
_PICTURE = re.compile(r"@\dx\.\w+$")
"""A picture for a finer screen, as icon@2x.png."""
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w.,-])[0-9]+(?:[ -][0-9]+)*(?![\w-]|[.,][0-9])")
_IPV4 = re.compile(r"(?<![\w.:])(?<![A-Za-z]-)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|-[A-Za-z]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]{0,4})(?![\w:])")
_VERSION_BEFORE = re.compile(
    r"(?:\bversions?|\brelease|\bbuild|\bv|\bsection|\bchapter|\bfirmware)[\s:]*$", re.IGNORECASE
)
_PHONE_BEFORE = re.compile(
    r"(?:\btel(?:ephone|efon)?|\bphones?|\bmobile|\bmobil|\bcell|\bfax|\bcall(?:ed|ing)?|\bdial|\btext(?:ed)?|\bring|"
    r"\bnumber is|\breach(?:ed)?\s+\w+\s+(?:at|on|under)|\bwhatsapp|\bsms)\W*(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_NUMBER_BEFORE = re.compile(
    r"(?:\border|\binvoice|\bticket|\bcase|\bisbn|\bissn|\bserial|\bpart|\bitem|\bsku|\bid|\bref(?:erence)?|\bpatent|"
    r"\btracking|\bcustomer|\baccount|\bmodel|\barticle|\bbatch|\bversion|\bdoi|\bcontract|\bpolicy|\bno|\bn[o°º]\.|"
    r"\bsha\w*|\bcommit|\bean|\bgtin|\bclaim|\bcoordinates?|#)(?:\s+(?:number|no|code))?(?:\s+(?:is|was))?\W*$",
    re.IGNORECASE,
)
_IBAN_TYPE = TypeAdapter(IBAN)
_DATE = re.compile(r"^[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{2,4}\b")
_ENOUGH_DIGITS = re.compile(r"\d(?:\D{0,4}\d){5}")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at ``text[start:end]``."""

    start: int
    end: int
    kind: PersonalDataKind


def find_personal_data(
    text: str, kinds: Collection[PersonalDataKind] = KINDS, *, phone_regions: Sequence[str] = ()
) -> list[Found]:
    """What stands in a text of these kinds, in order; none overlaps another.

    ``phone_regions`` are the countries (ISO 3166-1, as US) whose numbers are found without the country's prefix too.
    """
    found: list[Found] = []
    for kind in _SUREST_FIRST:
        if kind in kinds:
            # Telephone numbers are looked for last, between the others: digits that follow each other look like one.
            rest = _without(text, found) if kind == "phone" else text
            for start, end in _phones(rest, phone_regions) if kind == "phone" else _SEARCHES[kind](text):
                if not any(start < other.end and other.start < end for other in found):
                    found.append(Found(start, end, kind))
    return sorted(found, key=lambda one: one.start)


def is_phone_region(region: str) -> bool:
    """Whether telephone numbers of a country of this code are known."""
    return region in SUPPORTED_REGIONS


def _without(text: str, found: Sequence[Found]) -> str:
    for one in found:
        text = text[: one.start] + "|" * (one.end - one.start) + text[one.end :]
    return text


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for match in _EMAIL.finditer(text):
        # In prose a quotation mark may stand before it.
        start = match.start() + len(match[0]) - len(match[0].lstrip("'`{|.*/=!?&"))
        address = text[start : match.end()]
        if _PICTURE.search(address) or not any(letter.isalpha() for letter in address.rpartition(".")[2]):
            continue
        try:
            # Names that a company has for itself, as mail.local, are refused by themselves.
            validate_email(f"{address}.example.com", check_deliverability=False)
        except EmailNotValidError:
            continue
        yield start, match.end()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    place = 0
    while match := _IBAN.search(text, place):
        # What follows it in the sentence may look as if it went on.
        ends = _ends(text, match.start(), match.end())
        end = next((end for end in ends if _is_iban(_bare(text[match.start() : end]).upper())), None)
        if end is not None:
            yield match.start(), end
        place = match.start() + 1 if end is None else end


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """The ends of a run of groups, the longest run first."""
    yield end
    for place in range(end - 1, start, -1):
        if text[place] in " -":
            yield place


def _is_iban(bare: str) -> bool:
    try:
        _IBAN_TYPE.validate_python(bare)
    except ValidationError:
        return False
    return True


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for run in _DIGITS.finditer(text):
        groups = [(run.start() + group.start(), run.start() + group.end()) for group in re.finditer("[0-9]+", run[0])]
        first = 0
        while first < len(groups):
            last = next((last for last in _card_ends(groups, first) if _is_card(text, groups[first : last + 1])), None)
            if last is not None:
                yield groups[first][0], groups[last][1]
            first = (first if last is None else last) + 1


def _card_ends(groups: Sequence[tuple[int, int]], first: int) -> list[int]:
    """The groups with which a card's number that begins with the first one can end, the longest first."""
    ends, length = [], 0
    for number in range(first, len(groups)):
        length += groups[number][1] - groups[number][0]
        if length > PaymentCardNumber.max_length:
            break
        if length >= PaymentCardNumber.min_length:
            ends.append(number)
    return ends[::-1]


def _is_card(text: str, groups: Sequence[tuple[int, int]]) -> bool:
    try:
        card = PaymentCardNumber("".join(text[start:end] for start, end in groups))
    except PydanticCustomError:
        return False
    return card.brand != PaymentCardBrand.other


def _ip_addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in _IPV4.finditer(text):
        if _is_ip(match[0]) and not _VERSION_BEFORE.search(text[max(0, match.start() - 20) : match.start()]):
            yield match.span()
    for match in _IPV6.finditer(text):
        # Names with "::" between them, as C++ and Rust have them, may look like a short one.
        if sum(letter in hexdigits for letter in match[0]) > 3 and _is_ip(match[0]):
            yield match.span()


def _is_ip(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    if not _ENOUGH_DIGITS.search(text):
        return
    for region in (None, *regions):
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            if match.raw_string.lstrip("( ").startswith("+") or _is_written_as_phone(text, match):
                yield match.start, match.end


def _is_written_as_phone(text: str, match: PhoneNumberMatch) -> bool:
    """Whether digits without a country's prefix are meant as a telephone number, as far as can be told."""
    before = text[max(0, match.start - 40) : match.start]
    if _DATE.search(match.raw_string) or _NUMBER_BEFORE.search(before):
        return False
    # A run of digits may be any number; in groups, or said to be one, it is one.
    return bool(re.search(r"\d[ ().\-/\u00a0\u2011\u2013]+\d", match.raw_string) or _PHONE_BEFORE.search(before))


def _bare(number: str) -> str:
    return re.sub(r"[ -]", "", number)


_SEARCHES: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ip": _ip_addresses,
}
