"""Kubernetes quantities as whole bytes and MiB."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.model.quantity import MAXIMUM, mebibytes, parse_quantity

FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}

digits = st.text("0123456789", min_size=1, max_size=30)
numbers = st.one_of(
    digits,
    st.builds("{}.{}".format, digits, st.text("0123456789", max_size=30)),
    st.builds(".{}".format, digits),
)
exponents = st.builds(
    "{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 99).map(str)
)


def exact(number: str) -> Fraction:
    whole, _, fraction = number.partition(".")
    return Fraction(int(whole + fraction or "0"), 10 ** len(fraction))


@given(sign=st.sampled_from(["", "+"]), number=numbers, suffix=st.sampled_from(sorted(FACTORS)))
@example("", "999999999999999999999999999999", "E")
@example("", "0.000000000000000000000000000001", "n")
@example("", "9007199254740993", "")
@example("", "1.000000000000000000000000000001", "Ki")
def test_is_the_exact_product_of_number_and_suffix_rounded_up(sign: str, number: str, suffix: str) -> None:
    assert parse_quantity(sign + number + suffix) == min(ceil(exact(number) * FACTORS[suffix]), MAXIMUM)


@given(number=numbers, exponent=exponents)
@example("1", "e-99")
@example("9" * 30, "E99")
def test_is_the_exact_power_of_ten_rounded_up(number: str, exponent: str) -> None:
    amount = exact(number) * Fraction(10) ** int(exponent[1:])
    assert parse_quantity(number + exponent) == min(ceil(amount), MAXIMUM)


@given(st.one_of(st.text(max_size=40), st.text("0123456789.+-eEinumkMGTP ", max_size=40)))
@example("٣Mi")
@example("1\n")
@example("1e999999999")
@example("1" * 5000)
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        amount = parse_quantity(text)
    except ValueError:
        return
    assert 0 <= amount <= MAXIMUM


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-1",
        "-1Mi",
        "--1",
        "++1",
        "1 Mi",
        " 1",
        "1Mi ",
        "1mi",
        "1K",
        "1KI",
        "1B",
        "1_0",
        "0x10",
        "1e",
        "1e1.5",
        "1e999",
        "1E5Mi",
        "1.2.3",
        "NaN",
        "Infinity",
        "∞",
        "٣",
        "64Mi\n",
        "1" * 31,
        "unlimited",
    ],
)
def test_refuses_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_quantity(text)


def test_the_complaint_about_a_long_text_is_short() -> None:
    with pytest.raises(ValueError, match="not an amount") as caught:
        parse_quantity("x" * 10_000)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("0", 0),
        ("1", 1),
        ("1Mi", 1),
        ("1048577", 2),
        ("1025Ki", 2),
        ("64Mi", 64),
        ("1.5Gi", 1536),
        ("1G", 954),
        ("1e9", 954),
        ("1E", 953_674_316_407),
        ("128974848000m", 123),
        ("1n", 1),
        ("100Ei", (MAXIMUM >> 20) + 1),
    ],
)
def test_mebibytes_are_rounded_up(text: str, mib: int) -> None:
    assert mebibytes(text) == mib
