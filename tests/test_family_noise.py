"""Noise is a variable of every family: its gradient is right, and searches of it run."""

import pytest
import torch
from families import BUILDERS, STEPS, Family

from dpodiff.api.alignment import align
from dpodiff.gradients import Checkpointed
from dpodiff.models.batches import Batches
from dpodiff.models.noise import draw
from dpodiff.objective.noise import NoiseObjective
from dpodiff.spaces.space import Prompts, Slot, Space

PROMPT = "a red ball"
SPACE = Space(PROMPT, (Slot("ball", ("ball", "boat", "star")),))


NAMES = ["sd-v1", "sd-v2", "sdxl", "sd3", "flux-dev"]


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory):
    folder = BUILDERS[request.param](tmp_path_factory.mktemp("families") / "model")
    return Family(request.param, folder)


@pytest.fixture
def model(family):
    model = family.load()
    model.steps = STEPS
    return model


def brightness(images, prompts):
    return images.mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("family", "eta"),
    [*((name, 0.0) for name in NAMES), ("sd-v1", 1.0), ("sdxl", 1.0)],
    indirect=["family"],
)
def test_the_gradient_by_the_noise_is_that_of_finite_differences(family, eta):
    exact = family.exact()
    batches = {"batches": Batches(exact), "graph_batches": Batches(exact)}
    rollout = {"eta": eta, "steps": STEPS, "sign": 1}
    where = NoiseObjective(exact, Prompts(PROMPT, ""), brightness, PROMPT, **rollout, **batches)
    noise = draw(exact, [0], eta)
    way = torch.randn(noise.shape, generator=torch.Generator().manual_seed(0)).to(noise)
    _, _, gradient = where.value_and_gradient(noise, Checkpointed())
    ahead, behind = (where.losses(where.images(noise + s * way)).item() for s in (1e-3, -1e-3))
    assert (gradient * way).sum().item() == pytest.approx((ahead - behind) / 2e-3, rel=1e-3)


# The second Stable Diffusion differs from the first in its gradient alone.
@pytest.mark.parametrize("family", [name for name in NAMES if name != "sd-v2"], indirect=True)
@pytest.mark.parametrize("method", ["dno", "joint"])
def test_searches_of_noise_better_the_loss(model, method):
    settings = {"space": SPACE, "prompts": 2, "steps": 2} if method == "joint" else {}
    settings |= {"budget": 16, "seeds": 2, "lr": 0.1, "progress": False}
    result = align(PROMPT, model=model, loss=brightness, method=method, **settings)
    assert sum(result.losses) < sum(result.baseline_losses)


@pytest.mark.parametrize("family", ["sd3", "flux-dev"], indirect=True)
def test_a_flow_is_told_to_keep_to_its_first_noise(model):
    with pytest.raises(ValueError, match="needs DDIM; .* set eta to 0"):
        align(PROMPT, model=model, loss=brightness, eta=0.5, budget=8, progress=False)
