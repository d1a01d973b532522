"""Which numbers to compute in here, and which path through the processor they take."""

import torch

_PATHS = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2", "bf16", "neon")
"""Instruction sets that change how sums are rounded, the newest first; ``bf16`` and ``neon`` are Arm's."""


def choose_dtype(setting: str) -> torch.dtype:
    """``auto``, ``float32`` or ``bfloat16`` as a torch type; auto is bfloat16 where the processor multiplies it."""
    if setting == "auto":
        capabilities = torch.cpu.get_capabilities()
        native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16")
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if setting == "bfloat16" else torch.float32


def processor_path() -> str:
    """What decides the last bits of a result beside the weights, for instance ``x86_64 avx512_bf16, torch 2.13.0``.

    Two machines with the same path and as many threads give the same answers; on another path sums are rounded
    otherwise, and now and then two nearly equal answers change places.
    """
    capabilities = torch.cpu.get_capabilities()
    architecture = capabilities.get("architecture", "unknown")
    newest = next((name for name in _PATHS if capabilities.get(name)), "generic")
    return f"{architecture} {newest}, torch {torch.__version__.split('+')[0]}"
