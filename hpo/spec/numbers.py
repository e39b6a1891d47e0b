"""Numbers as people write them, each kind with its bounds: whole numbers, sizes, durations, steps of a range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final

from hpo.errors import OptionError

# What a column of every database holds.
SMALLEST_WHOLE: Final = -(2**31)
LARGEST_WHOLE: Final = 2**31 - 1
LONGEST_SECONDS: Final = 999_999 * 3600  # more than a century, and less than a timer overflows at
LARGEST_BYTES: Final = 2**63 - 1
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_MOST_SHOWN = 50
# Python reads no longer ones, and nothing here has a bound near it.
_MOST_DIGITS = 4000


def whole(text: str) -> int | None:
    """A whole number; None where the text is none. One of thousands of digits is a large one, no more.

    >>> whole("-12"), whole("1.5"), whole("9" * 5000) > LARGEST_WHOLE
    (-12, None, True)
    """
    text = text.strip()
    if len(text) <= _MOST_DIGITS:
        try:
            return int(text)
        except ValueError:
            return None
    match = re.fullmatch(r"([+-]?)0*(\d*)", text)
    if match is None:
        return None
    number = int(match[2][:_MOST_DIGITS] or 0)
    return -number if match[1] == "-" else number


def whole_number(
    option: str, least: int | None = None, most: int | None = None
) -> Callable[[str], int]:
    """The type of an option that takes a whole number.

    Left out, they are what a column of the database holds.

    Args:
        least: None beyond is taken.
        most: None beyond is taken.
    """
    smallest = SMALLEST_WHOLE if least is None else least
    largest = LARGEST_WHOLE if most is None else most
    expected = "a whole number" if least is None else f"a whole number of {least} or more"
    if most is not None:
        expected = f"a whole number from {least or 0} to {most}"

    def parse(text: str) -> int:
        number = whole(text)
        if number is None or not smallest <= number <= largest:
            too_large = number is not None and number > largest and most is None
            # Not argparse's own error, which has another form.
            raise OptionError(
                option,
                found=_shown(text),
                expected=f"a whole number from {smallest} to {largest}" if too_large else expected,
                hint=f"Write e.g. {option} 4.",
            )
        return number

    return parse


def parse_size(text: str, place: str) -> int:
    """Bytes of e.g. `20GB`.

    Raises:
        OptionError: An option has a value that it cannot have.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]b)\s*", text, re.IGNORECASE)
    size = Fraction(match[1]) * _UNITS[match[2].lower()] if match and _is_short(match[1]) else None
    if size is None or size > LARGEST_BYTES:
        raise OptionError(
            place,
            found=_shown(text),
            expected="a size such as 500MB or 20GB",
            hint="Write a number and KB, MB, GB or TB"
            + (f", {LARGEST_BYTES // _UNITS['tb']}TB at most." if match else "."),
        )
    return int(size)


def parse_duration(text: str, place: str) -> float:
    """Seconds of e.g. `90s`, `30m`, `2h`, `1h30m`; above 0.

    Raises:
        OptionError: An option has a value that it cannot have.
    """
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    parts = [whole(part or "0") or 0 for part in match.groups()] if match else [0, 0, 0]
    total = parts[0] * 3600 + parts[1] * 60 + parts[2]
    if not 0 < total <= LONGEST_SECONDS:
        raise OptionError(
            place,
            found=_shown(text),
            expected="a duration such as 90s, 30m or 2h",
            hint="Write a number and a unit"
            + (f", {LONGEST_SECONDS // 3600}h at most." if total else "."),
        )
    return float(total)


def beyond_toml(value: object, key: str) -> str | None:
    """The dotted key of a whole number that TOML need not hold: one of more than 64 bits; None: there is none.

    Args:
        value: What was read of a document, or a part of it.
        key: The part's.
    """
    return next(_beyond_toml(value, key), None)


def _beyond_toml(value: object, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _beyond_toml(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _beyond_toml(inner, f"{key}[{index}]")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield key


def steps_within(low: float, high: float, step: float) -> int:
    """How many steps fit between two numbers, counted in decimals: 0.3 is three steps of 0.1."""
    lowest, highest, each = (Fraction(Decimal(str(number))) for number in (low, high, step))
    return int((highest - lowest) // each)


def _is_short(number: str) -> bool:
    return len(number) <= _MOST_DIGITS


def _shown(text: str) -> str:
    return repr(text if len(text) < _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def counted(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`, `1,200 trials`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
