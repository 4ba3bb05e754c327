# SPDX-License-Identifier: MIT
"""The integer arithmetic: its properties, and the C twin compiled with UBSan against it."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.shared import missing
from tinyeff import fixed_point as fp
from tinyeff import resources
from tinyeff.errors import MissingProgramError
from tinyeff.ir import Quant
from tinyeff.simulator.host import WARNINGS, host_compiler

Record = tuple[int, int, int]
Twin = Callable[[str, Sequence[Record]], fp.Ints]
FUNCTIONS = ("high_multiply", "round_shift", "requantize", "multiply_round_half_away", "clamp",
             "exp_on_negative_values", "one_over_one_plus_x", "reciprocal", "inverse_square_root")

EDGES = [0, 1, 2, 3, (1 << 24) - 1, 1 << 24, (1 << 30) - 1, 1 << 30, (1 << 31) - 2, fp.INT32_MAX]
int32 = st.one_of(st.integers(fp.INT32_MIN, fp.INT32_MAX),
                  st.sampled_from([*EDGES, *(-e for e in EDGES), fp.INT32_MIN]))
multipliers = st.one_of(st.just(0), st.integers(1 << 30, fp.INT32_MAX),
                        st.sampled_from([1 << 30, (1 << 30) + 1, fp.INT32_MAX]))
lists = settings(max_examples=25, deadline=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Calls the C function of a name for many records at once: (n, 2) results."""
    folder = tmp_path_factory.mktemp("twin")
    program = folder / "twin.exe"
    source = Path(__file__).with_name("fixed_point_twin.c")
    try:
        compiler = host_compiler()
    except MissingProgramError as error:
        missing(error.message)
    built = subprocess.run(
        [*compiler, "-std=c11", "-O1", *WARNINGS, "-fsanitize=undefined",
         "-fno-sanitize-recover=all", f"-I{resources.folder('firmware') / 'kernels'}",
         str(source), "-o", str(program)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    def call(function: str, records: Sequence[Record]) -> fp.Ints:
        table = np.array([(FUNCTIONS.index(function), *r) for r in records], np.int64)
        done = subprocess.run([str(program)], input=table.tobytes(), capture_output=True,
                              check=False)
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, np.int64).reshape(-1, 2)

    return call


def column(records: Sequence[Record], number: int) -> fp.Ints:
    return np.array([r[number] for r in records], np.int64)


def one(value: int) -> fp.Ints:
    return np.array([value], np.int64)


def half_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero: the definition."""
    size = math.floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


# Two roundings: CONV_2D and most others ----------------------------------------------------------


@lists
@given(st.lists(st.tuples(int32, int32, st.just(0)), min_size=1, max_size=300))
def test_high_multiply(twin: Twin, records: list[Record]) -> None:
    records = [r for r in records if r[:2] != (fp.INT32_MIN, fp.INT32_MIN)]
    assume(records)
    ours = fp.saturating_rounding_doubling_high_multiply(column(records, 0), column(records, 1))
    exact = [math.floor(Fraction(a * b, 1 << 31) + Fraction(1, 2)) for a, b, _ in records]
    assert ours.tolist() == exact
    assert twin("high_multiply", records)[:, 0].tolist() == exact


def test_high_multiply_saturates() -> None:
    lowest = one(fp.INT32_MIN)
    assert fp.saturating_rounding_doubling_high_multiply(lowest, lowest) == fp.INT32_MAX


@lists
@given(st.lists(st.tuples(int32, st.integers(0, 31), st.just(0)), min_size=1, max_size=300))
def test_round_shift(twin: Twin, records: list[Record]) -> None:
    ours = fp.rounding_divide_by_power_of_two(column(records, 0), column(records, 1))
    exact = [half_away(Fraction(x, 1 << e)) for x, e, _ in records]
    assert ours.tolist() == exact
    assert twin("round_shift", records)[:, 0].tolist() == exact


@st.composite
def requantizations(draw: st.DrawFn) -> Record:
    """(x, multiplier, shift) with x * 2**shift within int32."""
    shift = draw(st.integers(-31, 30))
    reach = fp.INT32_MAX >> max(shift, 0)
    x = draw(st.one_of(st.integers(-reach, reach), st.sampled_from([-reach, -1, 0, 1, reach])))
    return x, draw(multipliers), shift


@lists
@given(st.lists(requantizations(), min_size=1, max_size=300))
def test_requantize(twin: Twin, records: list[Record]) -> None:
    ours = fp.multiply_by_quantized_multiplier(*(column(records, i) for i in range(3)))
    assert twin("requantize", records)[:, 0].tolist() == ours.tolist()
    for (x, multiplier, shift), found in zip(records, ours.tolist(), strict=True):
        assert abs(found - Fraction(x * multiplier) * Fraction(2) ** (shift - 31)) <= 1


@given(st.floats(1e-12, 1e9))
def test_quantize_multiplier_is_close(real: float) -> None:
    multiplier, shift = fp.quantize_multiplier(real)
    if shift == 0 and multiplier == 0:
        assert real < 2.0**-31
    else:
        assert 1 << 30 <= multiplier <= fp.INT32_MAX
        assert math.ldexp(multiplier, shift - 31) == pytest.approx(real, rel=2.0**-31)


def test_quantize_multiplier_at_its_ends() -> None:
    assert fp.quantize_multiplier(0.0) == (0, 0)
    assert fp.quantize_multiplier(1.0) == (1 << 30, 1)
    assert fp.quantize_multiplier(math.nextafter(1.0, 0.0)) == (1 << 30, 1)
    assert fp.quantize_multiplier(2.0**-32) == (1 << 30, -31)
    assert fp.quantize_multiplier(2.0**-33) == (0, 0)


@lists
@given(st.lists(st.tuples(int32, st.integers(-128, 0), st.integers(0, 127)), min_size=1))
def test_clamp(twin: Twin, records: list[Record]) -> None:
    ours = [int(fp.clamp_int8(one(x), low, high)[0]) for x, low, high in records]
    assert twin("clamp", records)[:, 0].tolist() == ours


@pytest.mark.parametrize(("activation", "scale", "zero_point", "expected"), [
    ("none", 0.1, 3, (-128, 127)),
    ("relu", 0.1, 3, (3, 127)),
    ("relu6", 0.1, 3, (3, 63)),
    ("relu6", 4.0, -128, (-128, -126)),  # 6 / 4 = 1.5 rounds away from zero
    ("relu6", 12.0, 0, (0, 1)),  # 6 / 12 = 0.5 as well
    ("relu_n1_to_1", 2.0, 5, (4, 6)),  # and -0.5
    ("relu_n1_to_1", 0.001, 0, (-128, 127)),
    ("relu_n1_to_1", 1e-45, 0, (-128, 127)),
])
def test_activation_range(
    activation: str, scale: float, zero_point: int, expected: tuple[int, int]
) -> None:
    quant = Quant((float(np.float32(scale)),), (zero_point,))
    assert fp.activation_range(activation, quant) == expected


# One rounding of a double product: FULLY_CONNECTED ------------------------------------------------


@given(st.lists(st.tuples(int32, st.floats(1e-9, 4.0)), min_size=1))
def test_rounded_double_product(pairs: list[tuple[int, float]]) -> None:
    acc = np.array([a for a, _ in pairs], np.int64)
    scale = np.array([s for _, s in pairs], np.float64)
    exact = [half_away(Fraction(float(a) * s)) for a, s in pairs]
    assert fp.rounded_double_product(acc, scale).tolist() == exact


def test_rounded_double_product_next_to_a_half() -> None:
    # floor(x + 0.5) would give 1 for the number below one half.
    below = math.nextafter(0.5, 0.0)
    found = [fp.rounded_double_product(one(sign), below)[0] for sign in (1, -1)]
    assert found == [0, 0]
    found = [fp.rounded_double_product(one(sign), 0.5)[0] for sign in (1, -1)]
    assert found == [1, -1]


float32_scales = st.floats(-6, 1).map(lambda x: float(np.float32(10.0**x)))
round_scales = st.sampled_from([2.0**-k for k in range(1, 12)] + [3.0, 1.0, 1 / 3, 1 / 6, 0.1])


@st.composite
def exact_cases(draw: st.DrawFn) -> tuple[float, int, int, int, int]:
    """(scale, acc_low, acc_high, low, high) as FULLY_CONNECTED meets them."""
    a, b, c = (draw(st.one_of(float32_scales, round_scales)) for _ in range(3))
    bounds = sorted(draw(st.tuples(*[st.integers(-(1 << 24), 1 << 24)] * 2)))
    assume(max(map(abs, bounds)) * (a * b / c) < 2**31)
    zero_point = draw(st.integers(-128, 127))
    return a * b / c, bounds[0], bounds[1], -128 - zero_point, 127 - zero_point


def near(thresholds: fp.Ints, acc_low: int, acc_high: int) -> fp.Ints:
    """Accumulators next to the thresholds, at the ends, and some between."""
    around = [thresholds[:, 0] + d for d in (-2, -1, 0, 1)]
    spread = np.linspace(acc_low, acc_high, 500).astype(np.int64)
    result: fp.Ints = np.clip(np.concatenate([*around, spread]), acc_low, acc_high)
    return result


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exact_cases())
def test_exact_multiplier(twin: Twin, case: tuple[float, int, int, int, int]) -> None:
    scale, acc_low, acc_high, low, high = case
    try:
        multiplier, shift = fp.exact_multiplier(*case)
    except ValueError:
        # Only where 63 bits cannot hold an accumulator times a multiplier for such a scale.
        assert scale < 2.0**-19
        return
    acc = near(fp.output_thresholds(*case), acc_low, acc_high)
    wanted = np.clip(fp.rounded_double_product(acc, scale), low, high).tolist()
    ours = fp.multiply_round_half_away(acc, multiplier, shift)
    assert np.clip(ours, low, high).tolist() == wanted
    within = acc[np.abs(ours) <= fp.INT32_MAX]
    theirs = twin("multiply_round_half_away", [(int(a), multiplier, shift) for a in within])
    assert np.clip(theirs[:, 0], low, high).tolist() == np.clip(
        fp.rounded_double_product(within, scale), low, high).tolist()


@given(exact_cases())
def test_thresholds_are_where_the_product_turns(case: tuple[float, int, int, int, int]) -> None:
    scale, acc_low, acc_high, low, high = case
    for acc, value in fp.output_thresholds(*case).tolist()[::16]:
        if acc <= acc_high:
            assert fp.rounded_double_product(one(acc), scale) >= value
        if acc > acc_low:
            assert fp.rounded_double_product(one(acc - 1), scale) < value
    assert len(fp.output_thresholds(*case)) == high - low


def test_exact_multiplier_every_accumulator() -> None:
    for scale in (1 / 8, 1 / 6, 0.0123, 3.0, 0.9999999999):
        multiplier, shift = fp.exact_multiplier(scale, -3000, 3000, -131, 124)
        acc = np.arange(-3000, 3001)
        ours = np.clip(fp.multiply_round_half_away(acc, multiplier, shift), -131, 124)
        assert np.array_equal(ours, np.clip(fp.rounded_double_product(acc, scale), -131, 124))


def test_exact_multiplier_follows_the_doubles_rounding() -> None:
    # 1/6 in double precision is a little less, yet three times it rounds to exactly one half.
    assert Fraction(1 / 6) * 3 < Fraction(1, 2)
    multiplier, shift = fp.exact_multiplier(1 / 6, -1000, 1000, -128, 127)
    assert fp.multiply_round_half_away(one(3), multiplier, shift) == 1
    assert Fraction(multiplier, 1 << shift) > Fraction(1 / 6)


def test_exact_multiplier_widens() -> None:
    scale, reach = 1.662027377086861e-06, 1 << 26
    multiplier, shift = fp.exact_multiplier(scale, -reach, reach, -128, 127)
    assert multiplier.bit_length() == 32
    acc = near(fp.output_thresholds(scale, -reach, reach, -128, 127), -reach, reach)
    wanted = np.clip(fp.rounded_double_product(acc, scale), -128, 127)
    ours = np.clip(fp.multiply_round_half_away(acc, multiplier, shift), -128, 127)
    assert np.array_equal(ours, wanted)
    # No multiplier of 31 bits does: not the nearest, nor its neighbours.
    for narrow in range(multiplier // 2 - 2, multiplier // 2 + 3):
        tried = np.clip(fp.multiply_round_half_away(acc, narrow, shift - 1), -128, 127)
        assert not np.array_equal(tried, wanted)


def test_exact_multiplier_refuses_what_63_bits_cannot_hold() -> None:
    with pytest.raises(ValueError, match="more than 63 bits"):
        fp.exact_multiplier(1.0, -(1 << 34), 1 << 34, -128, 127)


# SOFTMAX ------------------------------------------------------------------------------------------

negatives = st.one_of(st.integers(-31 << 26, 0), st.integers(-(1 << 26), 0),
                      st.sampled_from([0, -1, -(1 << 24), -(1 << 24) - 1, -(1 << 24) + 1,
                                       -31 << 26]))


@lists
@given(st.lists(st.tuples(negatives, st.just(0), st.just(0)), min_size=1, max_size=300))
def test_exp(twin: Twin, records: list[Record]) -> None:
    x = column(records, 0)
    ours = fp.exp_on_negative_values(x)
    assert twin("exp_on_negative_values", records)[:, 0].tolist() == ours.tolist()
    np.testing.assert_allclose(ours / 2.0**31, np.exp(x / 2.0**26), atol=2e-7)


@lists
@given(st.lists(st.tuples(st.one_of(st.integers(0, fp.INT32_MAX), st.sampled_from(EDGES)),
                          st.just(0), st.just(0)), min_size=1, max_size=300))
def test_one_over_one_plus_x(twin: Twin, records: list[Record]) -> None:
    x = column(records, 0)
    ours = fp.one_over_one_plus_x(x)
    assert twin("one_over_one_plus_x", records)[:, 0].tolist() == ours.tolist()
    np.testing.assert_allclose(ours / 2.0**31, 1 / (1 + x / 2.0**31), atol=1e-8)


@lists
@given(st.lists(st.tuples(st.integers(1, fp.INT32_MAX), st.just(0), st.just(0)), min_size=1,
                max_size=300))
def test_reciprocal(twin: Twin, records: list[Record]) -> None:
    x = column(records, 0)
    ours = np.stack(fp.reciprocal(x), axis=1)
    assert twin("reciprocal", records).tolist() == ours.tolist()
    value = ours[:, 0] * 2.0 ** (-31.0 - ours[:, 1])
    np.testing.assert_allclose(value, 2.0**19 / x, rtol=1e-7)


# L2_NORMALIZATION ---------------------------------------------------------------------------------


@lists
@given(st.lists(st.tuples(st.one_of(st.integers(0, fp.INT32_MAX), st.integers(0, 300),
                                    st.sampled_from(EDGES)), st.just(0), st.just(0)),
                min_size=1, max_size=300))
def test_inverse_square_root(twin: Twin, records: list[Record]) -> None:
    x = column(records, 0)
    ours = np.stack(fp.inverse_square_root(x), axis=1)
    assert twin("inverse_square_root", records).tolist() == ours.tolist()
    value = ours[:, 0] * 2.0 ** (ours[:, 1] - 31.0)
    np.testing.assert_allclose(value, 1 / np.sqrt(np.maximum(x, 1)), rtol=2e-2)
