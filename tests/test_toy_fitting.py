import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from dpodiff.toy.train.fitting import Recipe, averaged, fit

RECIPE = Recipe(steps=12, batch=8, lr=0.05, warmup=3, slow="slow", save_seconds=-1.0)


def regression(step, rng, generator, module):
    x = torch.randn(8, 3, generator=generator)
    noise = torch.from_numpy(rng.normal(0, 0.1, (8, 1))).float()
    return (module(x) - x.sum(1, keepdim=True) - noise).square().mean()


def train(folder, recipe, stop=None):
    """Fit a linear map; `stop` kills the run at that step."""
    torch.manual_seed(0)
    module = nn.ModuleDict({"fast": nn.Linear(3, 4), "slow": nn.Linear(4, 1)})

    def loss(step, rng, generator):
        if step == stop:
            raise KeyboardInterrupt
        layers = nn.Sequential(module["fast"], module["slow"])
        return regression(step, rng, generator, layers)

    return fit("line", module, loss, recipe, folder)


@pytest.mark.parametrize("stop", [1, 7])
def test_a_killed_run_goes_on_as_if_never_stopped(tmp_path, stop):
    whole = train(tmp_path / "whole", RECIPE)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", RECIPE, stop)
    again = train(tmp_path / "killed", RECIPE)
    assert all(map(torch.equal, again.state_dict().values(), whole.state_dict().values()))
    files = [load_file(tmp_path / name / "line.safetensors") for name in ("whole", "killed")]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(tmp_path, RECIPE)
    again = train(tmp_path, RECIPE, stop=0)
    assert all(map(torch.equal, again.state_dict().values(), first.state_dict().values()))


def test_the_averaged_weights_are_returned(tmp_path):
    module = train(tmp_path, RECIPE)
    assert not module.training
    average = averaged(tmp_path / "line.safetensors")
    assert average.keys() == module.state_dict().keys()
    stored = load_file(tmp_path / "line.safetensors")
    for name, value in module.state_dict().items():
        assert torch.equal(value, average[name])
        assert not torch.equal(value, stored[f"module/{name}"])


def test_a_checkpoint_is_safetensors_with_its_step(tmp_path):
    train(tmp_path, RECIPE)
    with safe_open(tmp_path / "line.safetensors", "pt") as file:
        assert file.metadata()["step"] == "12"
        parts = {key.split("/")[0] for key in file.keys()}  # noqa: SIM118, no iterator
    assert parts == {"module", "average", "adam"}
    assert [path.name for path in tmp_path.glob("*.part")] == []
    (record,) = map(json.loads, (tmp_path / "line.jsonl").read_text().splitlines())
    assert record.keys() == {"step", "loss", "time"}


def test_training_lowers_the_loss(tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=150, save_seconds=99.0)
    module = train(tmp_path, recipe)
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    error = module["slow"](module["fast"](x)) - x.sum(1, keepdim=True)
    assert error.square().mean() < 0.3


def test_slow_parameters_learn_slower(tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=1, weight_decay=0.0, ema=0.0)
    torch.manual_seed(0)
    before = {"fast": nn.Linear(3, 4), "slow": nn.Linear(4, 1)}
    after = train(tmp_path, recipe)
    moved = {k: (after[k].weight - before[k].weight).abs().max().item() for k in before}
    # Adam's first step is as long as the rate.
    assert moved["fast"] == pytest.approx(recipe.rate(0), rel=1e-3)
    assert moved["slow"] == pytest.approx(recipe.slow_rate * recipe.rate(0), rel=1e-3)


def test_the_rate_warms_up_stays_and_falls_to_zero():
    recipe = Recipe(steps=1000, batch=1, lr=2.0, warmup=100, decay_share=0.4)
    rates = np.array([recipe.rate(step) for step in range(1001)])
    assert rates[0] == pytest.approx(0.02)
    assert (np.diff(rates[:100]) > 0).all()
    assert (rates[99:601] == 2.0).all()
    assert (np.diff(rates[601:]) < 0).all()
    assert rates[1000] == 0
