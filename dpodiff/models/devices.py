"""Devices for models, and their default dtypes."""

import torch

from dpodiff.checks import check_kind


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return a device: None or "auto" is the GPU with the most free memory, or else the CPU.

    Raises:
        ValueError: if torch does not know the device, or it is not available.
    """
    if device is not None and not (isinstance(device, str) and device == "auto"):
        return _device(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count <= 1:
        return torch.device("cuda" if count else "cpu")
    return torch.device("cuda", max(range(count), key=lambda k: torch.cuda.mem_get_info(k)[0]))


def default_dtype(device: torch.device, half: torch.dtype) -> torch.dtype:
    """Return the default dtype on a device: half precision on a GPU, which saves memory and time.

    Args:
        device: a GPU of NVIDIA or AMD ("cuda"), of Apple ("mps"), or anything else.
        half: the half precision that the model supports.
    """
    return half if device.type in ("cuda", "mps") else torch.float32


def _device(name: str | torch.device) -> torch.device:
    check_kind("device", name, str | torch.device, "a device of torch or its name, such as 'cpu'")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise ValueError(f"there is no device {str(name)!r} here: {first}") from None
    if device.type == "meta":
        raise ValueError("the device 'meta' computes nothing")
    return device
