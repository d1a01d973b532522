import pytest
import torch

from rag.transformer.processor import choose_dtype, processor_path


@pytest.mark.parametrize(
    ("capabilities", "dtype", "path"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "avx512_f": True}, torch.bfloat16, "x86_64 avx512_bf16"),
        ({"architecture": "x86_64", "amx_bf16": True, "avx2": True}, torch.bfloat16, "x86_64 amx_bf16"),
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False}, torch.float32, "x86_64 avx2"),
        ({"architecture": "aarch64", "bf16": True, "neon": True}, torch.bfloat16, "aarch64 bf16"),
        ({}, torch.float32, "unknown generic"),
    ],
)
def test_the_processor_decides_over_numbers_and_path(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], dtype: torch.dtype, path: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_dtype("auto") is dtype
    assert processor_path() == f"{path}, torch {torch.__version__.split('+')[0]}"


def test_a_setting_wins_over_the_processor() -> None:
    assert choose_dtype("float32") is torch.float32
    assert choose_dtype("bfloat16") is torch.bfloat16
