"""Writes data/sentences.txt and data/dates.tsv anew, made up by rules: python examples/make_training_data.py"""

import datetime
import random
from pathlib import Path

DATA = Path(__file__).parent / "data"

WORKERS = (  # who, does, what, where, and what it is like when well done
    ("baker", "bakes", "bread", "bakery", "warm"),
    ("gardener", "waters", "roses", "garden", "red"),
    ("librarian", "lends", "books", "library", "old"),
    ("fisherman", "catches", "trout", "lake", "silver"),
    ("farmer", "grows", "potatoes", "field", "yellow"),
    ("carpenter", "builds", "tables", "workshop", "solid"),
    ("painter", "paints", "portraits", "studio", "bright"),
    ("chemist", "mixes", "medicine", "pharmacy", "bitter"),
    ("potter", "shapes", "jugs", "barn", "brown"),
    ("cook", "prepares", "soup", "kitchen", "hot"),
    ("weaver", "weaves", "carpets", "attic", "heavy"),
    ("tailor", "sews", "coats", "shop", "blue"),
    ("miller", "grinds", "flour", "mill", "white"),
    ("beekeeper", "collects", "honey", "meadow", "golden"),
    ("watchmaker", "repairs", "clocks", "cellar", "small"),
    ("shepherd", "counts", "sheep", "hill", "quiet"),
)
TIMES = (
    "every morning",
    "every evening",
    "on Monday",
    "on Friday",
    "in spring",
    "in winter",
    "before noon",
    "at night",
)
WEATHER = (("rains", "wet"), ("snows", "white"), ("freezes", "icy"), ("thunders", "dark"))
PEOPLE = (("Anna", "she", "her"), ("Tom", "he", "his"), ("Ruth", "she", "her"), ("Omar", "he", "his"))

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def sentence(rng: random.Random) -> str:
    """One sentence of a small world in which everybody has one trade, and the weather one effect."""
    (who, does, what, where, like), (other, works, thing, place, kind) = rng.sample(WORKERS, 2)
    time, (falls, state), (name, pronoun, possessive) = rng.choice(TIMES), rng.choice(WEATHER), rng.choice(PEOPLE)
    return rng.choice(
        (
            f"The {who} {does} {what} in the {where} {time}, and the {other} {works} {thing} in the {place}.",
            f"The {who} {does} {like} {what} {time}, but never {kind} {thing}, as the {other} does.",
            f"When it {falls}, the way to the {where} is {state}, so the {who} and the {other} stay at home.",
            f"{name} is a {who}, so {pronoun} {does} {what} in {possessive} {where} and buys {thing} from the {other}.",
            f"{name} left the {where} for the {place} {time}, since {pronoun} wanted {kind} {thing} from the {other}.",
            f"In the {where} {name} met the {other}, who {works} {kind} {thing} {time}, and told {possessive} news.",
        )
    )


def ordinal(day: int) -> str:
    """A day of the month as people say it: 1st, 22nd."""
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def written(date: datetime.date, rng: random.Random) -> str:
    """A date in one of the ways in which people write it; where it is all numbers, the day comes first."""
    day, month, year = date.day, MONTHS[date.month - 1], date.year
    return rng.choice(
        (
            f"{day} {month} {year}",
            f"{month} {day}, {year}",
            f"{ordinal(day)} of {month} {year}",
            f"{month} {ordinal(day)}, {year}",
            f"{day} {month[:3]} {year}",
            f"{date:%A}, {day} {month} {year}",
            f"{day}.{date.month}.{year}",
            f"{day:02}/{date.month:02}/{year}",
        )
    )


def sentences(num: int = 1_500) -> list[str]:
    """So many different sentences."""
    rng, found = random.Random(1), dict[str, None]()
    while len(found) < num:
        found[sentence(rng)] = None
    return list(found)


def dates(num: int = 5_000) -> list[str]:
    """So many different dates between 1900 and 2099: as written, a tab, and as in ISO 8601."""
    rng, found = random.Random(1), dict[str, str]()
    first = datetime.date(1900, 1, 1).toordinal()
    last = datetime.date(2099, 12, 31).toordinal()
    while len(found) < num:
        date = datetime.date.fromordinal(rng.randint(first, last))
        found[written(date, rng)] = date.isoformat()
    return [f"{text}\t{iso}" for text, iso in found.items()]


def main() -> None:
    """Write both files."""
    for name, lines in (("sentences.txt", sentences()), ("dates.tsv", dates())):
        (DATA / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
