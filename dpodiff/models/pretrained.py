"""Pretrained weights from a file, a folder or the hub; safetensors only.

A pickle (.pt, .pth, .bin) can run code when it is opened, so pickles are refused. If weights are
published only as a pickle, the error says how to convert a trusted file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dpodiff.models.hub import asking
from dpodiff.models.progress import hidden_bars
from dpodiff.names import LoadError

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

FILE = "model.safetensors"
PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
CONVERT = (
    "only safetensors are read, since a pickle can run code. Convert a file you trust, once: "
    "weights = torch.load(FILE, weights_only=True); "
    "safetensors.torch.save_file(weights.get('state_dict', weights), 'model.safetensors')"
)


def find(source: str) -> Path:
    """Return the path of a safetensors file.

    Args:
        source: a file, a folder that holds `model.safetensors`, or the hub id of such a repository,
            which may be downloaded.

    Raises:
        LoadError: if there is no such file, the download fails, or it is a pickle. The message then
            says how to convert it.
    """
    path = Path(source)
    refuse_pickle(path)
    if path.is_file():
        return path
    if path.is_dir():
        if (path / FILE).is_file():
            return path / FILE
        raise _missing_in(path)
    if path.suffix == ".safetensors" or not is_hub_id(source):
        raise LoadError(f"there is no file or folder {source!r}")
    import huggingface_hub

    try:
        with asking(source):
            return Path(huggingface_hub.hf_hub_download(source, FILE))
    except LoadError:
        raise
    except Exception as error:  # from the hub or from its network library
        raise _not_given(source, error) from error


def read(source: str) -> "dict[str, torch.Tensor]":
    """Return the tensors of `find(source)`, by name.

    Raises:
        LoadError: as in `find`, or if the file is not in the safetensors format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = find(source)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise LoadError(f"{path} is not a safetensors file ({error})") from error


def fill(module: "nn.Module", tensors: "Mapping[str, torch.Tensor]", source: str) -> None:
    """Load all weights of a module.

    Raises:
        LoadError: if a tensor is missing, unexpected or of another shape; the message names it.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        problem = " ".join(str(error).split("\n\t")[1:])[:300]
        raise LoadError(
            f"{source} holds no {type(module).__name__} of this kind: {problem}"
        ) from None


def freeze(module: "nn.Module", device: "torch.device") -> None:
    """Prepare a network for use on a device: evaluation mode, no gradients of weights."""
    module.to(device)
    module.eval().requires_grad_(False)


def part(tensors: "Mapping[str, torch.Tensor]", prefix: str) -> "dict[str, torch.Tensor]":
    """Return the tensors with a prefix, by their names without it, except position buffers."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.endswith("position_ids")
    }


@contextmanager
def naming_missing(source: str) -> Iterator[None]:
    """Turn the `KeyError` of a missing tensor into an error that names the file.

    Raises:
        LoadError: instead of the `KeyError`.
    """
    try:
        yield
    except KeyError as error:
        raise LoadError(f"{source} holds other weights: there is no tensor {error}") from None


def count_layers(tensors: "Mapping[str, torch.Tensor]", prefix: str) -> int:
    """Return the number of layers named "PREFIX0.", "PREFIX1.", ..."""
    return len(
        {name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)}
    )


def load(kind: type[T], source: str, **settings: Any) -> T:
    """Call `kind.from_pretrained` of transformers and raise one clear error.

    Args:
        kind: a class of transformers: a model, a tokenizer or an image processor.
        source: a folder or a hub id, which may be downloaded.
        settings: further arguments of `from_pretrained`.

    Raises:
        LoadError: if it cannot be loaded, or if the weights are only available as a pickle. The
            message says what would be right.
    """
    folder = Path(source)
    try:
        with hidden_bars(folder.is_dir()), asking(source):
            loader: Any = kind  # its type does not include `from_pretrained`
            return loader.from_pretrained(source, **settings)
    except LoadError:
        raise
    except Exception as error:  # from the operating system, the hub, or its network library
        weights = settings.get("use_safetensors")
        if weights and folder.is_dir() and not list(folder.glob("*.safetensors")):
            raise _missing_in(folder) from error
        raise _not_given(source, error) from error


def beside(source: str, file: str, otherwise: str) -> str:
    """Return the folder itself if it holds the file, else another source."""
    return source if (Path(source) / file).is_file() else otherwise


def is_hub_id(source: str) -> bool:
    """Return whether a source has the form owner/name."""
    owner, _, name = source.partition("/")
    return bool(owner and name) and not {"/", "\\", ":", " "} & set(owner + name) and owner != "."


def refuse_pickle(path: Path) -> None:
    """Refuse a file whose name is that of a pickle.

    Raises:
        LoadError: if so; the message says how to convert it.
    """
    if path.suffix.lower() in PICKLES:
        raise LoadError(f"{path} is a pickle: {CONVERT}")


def _missing_in(folder: Path) -> LoadError:
    if pickles := sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PICKLES):
        return LoadError(f"{folder} holds {pickles[0]} but no {FILE}: {CONVERT}")
    return LoadError(f"the folder {folder} holds no {FILE}")


def _not_given(source: str, error: Exception) -> LoadError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    problem = f"{source!r} cannot be loaded ({reason})"
    if Path(source).is_dir():
        return LoadError(f"the folder {problem}")
    return LoadError(
        f"{problem}. It is downloaded on first use; without a network give the path of a "
        "local copy instead of the hub id"
    )
