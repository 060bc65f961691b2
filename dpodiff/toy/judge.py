"""A judge that no solver uses: it recognizes what an image shows.

As in GenEval (Ghosh et al., 2023), objects are detected with their colors, sizes and places,
relations follow from the places, and the background and the defect are classified. If an optimized
loss falls and the judge sees no improvement, the search has exploited the loss.
"""

import dataclasses
import itertools
from pathlib import Path

import torch
from torch import nn

from dpodiff.toy import WEIGHTS
from dpodiff.toy.captions import parse
from dpodiff.toy.layers import conv_block
from dpodiff.toy.scenes import BACKGROUNDS, COLORS, DEFECTS, OBJECTS, SIZES, Scene, Thing


@dataclasses.dataclass(frozen=True)
class Reading:
    """The network's output for a batch, as logits except for `place`.

    present (B, 12), color (B, 12, 8), size (B, 12, 2), place (B, 12, 2) as (x, y) in [0, 1],
    background (B, 8), defect (B, 9) with "none" first.

    Examples:
        >>> from dpodiff.toy.judge import Judge
        >>> reading = Judge.load()(torch.ones(2, 3, 64, 64))
        >>> tuple(reading.color.shape), tuple(reading.defect.shape)
        ((2, 12, 8), (2, 9))
    """

    present: torch.Tensor
    color: torch.Tensor
    size: torch.Tensor
    place: torch.Tensor
    background: torch.Tensor
    defect: torch.Tensor


class Judge(nn.Module):
    """A convolutional recognizer with one attention map per object.

    Examples:
        >>> from dpodiff.toy import judge, render, scenes
        >>> scene = scenes.Scene((scenes.Thing("ball", "red", "large"),), background="sea")
        >>> images = render.render_batch([scene], np.random.default_rng(0))
        >>> judge.Judge.load().measures(torch.from_numpy(images), "a red ball on the sea")
        {'judge, all as asked': 1.0, 'judge, clean': 1.0}
    """

    def __init__(self, width: int = 32):
        super().__init__()
        widths = [3, width, 2 * width, 3 * width, 4 * width]
        self.body = nn.Sequential(
            *(conv_block(i, o) for i, o in itertools.pairwise(widths)),
            conv_block(4 * width, 4 * width, 1),
        )
        dim = 4 * width
        self.maps = nn.Conv2d(dim, len(OBJECTS), 1)
        self.color = nn.Linear(dim, len(COLORS))
        self.size = nn.Linear(dim, len(SIZES))
        self.background = nn.Linear(2 * dim, len(BACKGROUNDS))
        self.defect = nn.Linear(2 * dim, 1 + len(DEFECTS))

    @classmethod
    def load(cls, path: Path = WEIGHTS / "judge.safetensors", device: str = "cpu") -> "Judge":
        """Return the trained judge of the toy world."""
        from safetensors.torch import load_file

        judge = cls()
        judge.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        return judge.eval().requires_grad_(False).to(device)

    def forward(self, images: torch.Tensor) -> Reading:
        """Read images (B, 3, 64, 64) in [0, 1]."""
        features = self.body(2 * images - 1)  # (B, dim, 4, 4) up to the stride
        maps = self.maps(features).flatten(2)  # (B, 12, cells)
        attention = maps.softmax(-1)
        cells = features.flatten(2).transpose(1, 2)  # (B, cells, dim)
        seen = attention @ cells  # (B, 12, dim)
        whole = torch.cat([cells.mean(1), cells.amax(1)], -1)
        return Reading(
            present=(attention * maps).sum(-1),
            color=self.color(seen),
            size=self.size(seen),
            place=attention @ _grid(features),
            background=self.background(whole),
            defect=self.defect(whole),
        )

    @torch.no_grad()
    def read(self, images: torch.Tensor) -> list[Scene]:
        """Return each image's scene: the one or two most certain objects with all attributes."""
        reading = self(images)
        return [_scene(reading, i) for i in range(len(images))]

    @torch.no_grad()
    def check(self, images: torch.Tensor, scenes: list[Scene]) -> list[dict[str, bool]]:
        """Compare images with the scenes that their prompts state.

        Args:
            images: (B, 3, 64, 64) in [0, 1].
            scenes: scenes that the prompts state; None fields are not checked.

        Returns:
            For each image, whether "objects", "colors", "sizes", "relation", "background" are as
            stated, whether it is "clean" of defects, and whether "all" statements hold, without the
            defect.
        """
        reading = self(images)
        return [_verdict(reading, i, scene) for i, scene in enumerate(scenes)]

    def measures(self, images: torch.Tensor, prompt: str) -> dict[str, float]:
        """Return shares of images for `dpodiff.held_out`: all as asked, and clean; more is better.

        Args:
            images: (B, 3, 64, 64) in [0, 1].
            prompt: what all images should show.
        """
        verdicts = self.check(images, [parse(prompt)] * len(images))
        return {
            "judge, all as asked": sum(v["all"] for v in verdicts) / len(verdicts),
            "judge, clean": sum(v["clean"] for v in verdicts) / len(verdicts),
        }


def _grid(features: torch.Tensor) -> torch.Tensor:
    """Return the centers (cells, 2) of the feature cells as (x, y) in [0, 1]."""
    height, width = features.shape[2:]
    y = (torch.arange(height, device=features.device) + 0.5) / height
    x = (torch.arange(width, device=features.device) + 0.5) / width
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(-1, 2)


def relation_between(first: torch.Tensor, second: torch.Tensor) -> str:
    """Return the relation of the thing at `first` (x, y) to the one at `second`, y down."""
    dx, dy = (first - second).tolist()
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def _scene(reading: Reading, i: int) -> Scene:
    order = reading.present[i].argsort(descending=True)[:2]
    found = [k for k in order.tolist() if reading.present[i, k] > 0]
    things = tuple(
        Thing(OBJECTS[k], COLORS[reading.color[i, k].argmax()], SIZES[reading.size[i, k].argmax()])
        for k in found
    )
    pair = len(found) == 2
    defect = (None, *DEFECTS)[reading.defect[i].argmax()]
    relation = relation_between(*reading.place[i, found]) if pair else None
    return Scene(things, relation, BACKGROUNDS[reading.background[i].argmax()], defect)


def _verdict(reading: Reading, i: int, scene: Scene) -> dict[str, bool]:
    index = [OBJECTS.index(thing.object) for thing in scene.things]
    objects = all(reading.present[i, k] > 0 for k in index)
    # A relation without a second thing states nothing.
    relation = scene.relation if len(index) == 2 else None

    def agree(kind: str, options: tuple[str, ...]) -> bool:
        logits = getattr(reading, kind)[i]
        return all(
            options[logits[k].argmax()] == getattr(thing, kind)
            for k, thing in zip(index, scene.things)
            if getattr(thing, kind) is not None
        )

    verdict = {
        "objects": objects,
        "colors": objects and agree("color", COLORS),
        "sizes": objects and agree("size", SIZES),
        "relation": objects
        and (relation is None or relation_between(*reading.place[i, index]) == relation),
        "background": scene.background is None
        or BACKGROUNDS[reading.background[i].argmax()] == scene.background,
    }
    return verdict | {"all": all(verdict.values()), "clean": bool(reading.defect[i].argmax() == 0)}
