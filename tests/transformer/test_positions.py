import math

import pytest
import torch

from rag.transformer.positions import (
    RotaryPositions,
    RotaryScaling,
    count_positions,
    positions_end,
    rotate,
    sinusoidal_table,
)

CPU = torch.device("cpu")


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoidal_table(50, 6)
    for position in (0, 1, 49):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoids_of_an_odd_width_leave_the_last_cosine_out() -> None:
    torch.testing.assert_close(sinusoidal_table(9, 5)[:, 4], sinusoidal_table(9, 5)[:, 4].sin().asin())
    assert sinusoidal_table(9, 5).shape == (9, 5)


def test_rotation_turns_each_pair_by_its_angle() -> None:
    x = torch.randn(1, 3, 2, 8)
    turned = rotate(x, RotaryPositions(8, max_positions=10).rotation(slice(4, 7), device=CPU))
    for t in range(3):
        for i in range(4):
            pair = torch.complex(x[0, t, :, i], x[0, t, :, i + 4])
            expected = pair * torch.exp(torch.tensor(1j * (4 + t) * 10_000 ** (-2 * i / 8)))
            torch.testing.assert_close(turned[0, t, :, i], expected.real)
            torch.testing.assert_close(turned[0, t, :, i + 4], expected.imag)


def test_products_of_rotated_vectors_know_only_the_distance() -> None:
    torch.manual_seed(0)
    rotary = RotaryPositions(16, max_positions=1_000)
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def product(query_at: int, key_at: int) -> float:
        turned = (rotate(x, rotary.rotation(slice(p, p + 1), device=CPU)) for x, p in ((q, query_at), (k, key_at)))
        return float((next(turned) * next(turned)).sum())

    assert product(7, 3) == pytest.approx(product(907, 903), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(8, 3), abs=1e-2)


def test_table_grows_without_changing_what_it_said() -> None:
    rotary = RotaryPositions(8, max_positions=5_000)
    before = rotary.rotation(slice(0, 3), device=CPU)
    far = rotary.rotation(slice(4_990, 5_000), device=CPU)
    assert far.cos.shape == (10, 1, 8)
    after = rotary.rotation(torch.tensor([[0, 1, 2]]), device=CPU)
    assert torch.equal(before.sin, after.sin[0])


def test_table_made_in_inference_serves_training() -> None:
    rotary = RotaryPositions(8, max_positions=10)
    with torch.inference_mode():
        rotary.rotation(slice(0, 3), device=CPU)
    x = torch.randn(1, 3, 1, 8, requires_grad=True)
    rotate(x, rotary.rotation(slice(0, 3), device=CPU)).sum().backward()
    assert x.grad is not None


def test_scaling_keeps_fast_frequencies_and_stretches_slow_ones() -> None:
    scaling = RotaryScaling(factor=8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=64)
    plain, scaled = RotaryPositions(64, max_positions=4), RotaryPositions(64, max_positions=4, scaling=scaling)

    def angles(rotary: RotaryPositions) -> torch.Tensor:
        return rotary.rotation(slice(1, 2), device=CPU).sin[0, 0, 32:].asin()

    wavelengths = 2 * math.pi * 10_000 ** (torch.arange(0, 64, 2) / 64)
    fast, slow = wavelengths < 64 / 4, wavelengths > 64
    ratio = angles(scaled) / angles(plain)
    torch.testing.assert_close(ratio[fast], torch.ones_like(ratio[fast]))
    torch.testing.assert_close(ratio[slow], torch.full_like(ratio[slow], 1 / 8))
    assert ((ratio[~fast & ~slow] > 1 / 8) & (ratio[~fast & ~slow] < 1)).all()


def test_only_real_tokens_count() -> None:
    assert count_positions(2, 5) == slice(3, 5)
    valid = torch.tensor([[True, True, True], [False, True, True]])
    positions = count_positions(2, 3, valid)
    assert isinstance(positions, torch.Tensor)
    assert positions.tolist() == [[1, 2], [0, 1]]
    assert positions_end(positions) == positions_end(slice(0, 3)) == 3
