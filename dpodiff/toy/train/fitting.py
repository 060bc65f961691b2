"""The training loop: AdamW, warm-up then constant then linear decay, EMA, resume.

The randomness of step `i` depends on (seed, i) only, so a resumed run equals an uninterrupted one.
"""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The training settings of a network: `steps` optimizer steps of `shards` x `batch` samples."""

    steps: int
    batch: int
    shards: int = 1  # batches computed in parallel, each on a share of the cores
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100
    decay_share: float = 0.4  # share of the steps, at the end, with a linear decay to zero
    ema: float = 0.998
    slow: str = ""  # prefix of parameters that learn at `slow_rate` times the rate
    slow_rate: float = 0.3
    seed: int = 0
    save_seconds: float = 90.0

    def rate(self, step: int) -> float:
        """Return the learning rate at a step."""
        left = (self.steps - step) / max(1, self.decay_share * self.steps)
        return self.lr * min(1.0, (step + 1) / self.warmup, left)


# loss(step, rng, generator) -> scalar
Loss = Callable[[int, np.random.Generator, torch.Generator], torch.Tensor]


def fit(name: str, module: nn.Module, loss: Loss, recipe: Recipe, folder: Path) -> nn.Module:
    """Train `module` in place; return it with its averaged (EMA) weights.

    Args:
        name: name of the checkpoint and the progress bar.
        module: the network, on its device.
        loss: loss of a new batch, called with the step and its two generators.
        recipe: training settings.
        folder: folder for the checkpoint and the log (JSON lines).
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _State(module, recipe, folder / f"{name}.safetensors")
    module.train()
    bar = tqdm(range(state.step, recipe.steps), initial=state.step, total=recipe.steps, desc=name)
    saved, mean = time.monotonic(), None
    gradients = _Gradients(loss, list(module.parameters()), recipe)
    for step in bar:
        value = _one_step(step, state, gradients, recipe)
        mean = value if mean is None else 0.98 * mean + 0.02 * value
        if step % 50 == 0:
            bar.set_postfix(loss=f"{mean:.4f}")
            with open(folder / f"{name}.jsonl", "a") as log:
                log.write(json.dumps({"step": step, "loss": mean, "time": time.time()}) + "\n")
        if time.monotonic() - saved > recipe.save_seconds:
            state.save()
            saved = time.monotonic()
    state.save()
    module.load_state_dict(state.average)
    return module.eval()


class _Gradients:
    """The loss and the gradients of a step, with its shards in parallel.

    Two threads of one core each are 1.5 times as fast as one step on two cores, since most
    operations of a small network are too short to be split.
    """

    def __init__(self, loss: Loss, parameters: list[nn.Parameter], recipe: Recipe):
        self.loss, self.parameters, self.recipe = loss, parameters, recipe
        threads = max(1, torch.get_num_threads() // recipe.shards)
        self.workers = ThreadPoolExecutor(recipe.shards, "shard", torch.set_num_threads, (threads,))

    def __call__(self, step: int) -> tuple[float, list[torch.Tensor | None]]:
        values, parts = zip(
            *self.workers.map(lambda shard: self._shard(step, shard), range(self.recipe.shards))
        )
        return sum(values) / len(values), [_mean(same) for same in zip(*parts)]

    def _shard(self, step: int, shard: int):
        key = [self.recipe.seed, step, shard] if shard else [self.recipe.seed, step]
        rng = np.random.default_rng(key)
        seed = self.recipe.seed * 1_000_003 + step + shard * 500_009
        value = self.loss(step, rng, torch.Generator().manual_seed(seed))
        return value.item(), torch.autograd.grad(value, self.parameters, allow_unused=True)


def _mean(gradients: tuple[torch.Tensor | None, ...]) -> torch.Tensor | None:
    known = [gradient for gradient in gradients if gradient is not None]
    return functools.reduce(torch.add, known) / len(gradients) if known else None


def _one_step(step: int, state: "_State", gradients: _Gradients, recipe: Recipe) -> float:
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.rate(step) * group["factor"]
    value, parts = gradients(step)
    for parameter, part in zip(gradients.parameters, parts):
        parameter.grad = part
    nn.utils.clip_grad_norm_(state.module.parameters(), 1.0)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step = step + 1
    state.update_average(min(recipe.ema, (1 + step) / (10 + step)))
    return value


class _State:
    """Module, optimizer and running average, stored as one safetensors checkpoint."""

    def __init__(self, module: nn.Module, recipe: Recipe, path: Path):
        self.module, self.path, self.step = module, path, 0
        self.optimizer = torch.optim.AdamW(
            _groups(module, recipe), recipe.lr, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
        )
        if path.exists():
            self._load()
        else:
            self.average = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def save(self) -> None:
        tensors = {f"module/{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        for i, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{i}/{k}": torch.as_tensor(v) for k, v in slots.items()}
        temporary = self.path.with_suffix(".part")
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(tensors, temporary, metadata={"step": str(self.step)})
        os.replace(temporary, self.path)  # a killed run never leaves an incomplete checkpoint

    def _load(self) -> None:
        parts: dict[str, dict] = {"module": {}, "average": {}, "adam": {}}
        with safe_open(self.path, "pt") as file:
            self.step = int(file.metadata()["step"])
            for key in file.keys():  # noqa: SIM118, no iterator
                part, name = key.split("/", 1)
                parts[part][name] = file.get_tensor(key)
        self.module.load_state_dict(parts["module"])
        device = next(self.module.parameters()).device
        self.average = {k: v.to(device) for k, v in parts["average"].items()}
        adam: dict[int, dict] = {}
        for name, value in parts["adam"].items():
            index, slot = name.split("/")
            adam.setdefault(int(index), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": adam, "param_groups": groups})


def _groups(module: nn.Module, recipe: Recipe) -> list[dict]:
    slow = [p for n, p in module.named_parameters() if recipe.slow and n.startswith(recipe.slow)]
    rest = [
        p for n, p in module.named_parameters() if not recipe.slow or not n.startswith(recipe.slow)
    ]
    groups = [{"params": rest, "factor": 1.0}, {"params": slow, "factor": recipe.slow_rate}]
    return [group for group in groups if group["params"]]


def averaged(path: Path) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a checkpoint, finished or not."""
    with safe_open(path, "pt") as file:
        keys = [k for k in file.keys() if k.startswith("average/")]  # noqa: SIM118, no iterator
        return {key.removeprefix("average/"): file.get_tensor(key) for key in keys}
