"""The number format of matrix products, and the device, of a worker."""

from __future__ import annotations

import torch

from hpo.spec.training import Precision

# Below this width casting the weights at every step costs more than the faster products save.
_LEAST_WIDTH_FOR_BF16 = 256


def pick_device() -> torch.device:
    """The accelerator of this process, or the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


def pick_dtype(precision: Precision, device: torch.device, width: int) -> torch.dtype:
    """The dtype of matrix products; the rest is fp32 always."""
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    gains = width >= _LEAST_WIDTH_FOR_BF16 and has_bf16(device)
    return torch.bfloat16 if gains else torch.float32


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 matrices faster than fp32 ones."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
