"""Scene -> 64 x 64 image.

Icons are pasted on a painted background at slightly random places, and then the defect is applied.
Icons and backgrounds are drawn once and cached, so an image takes about 0.1 ms.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dpodiff.checks import check_each, check_kind
from dpodiff.toy.icons import icon
from dpodiff.toy.scenes import SIZES, Scene

SIZE = 64  # pixels per side
VARIANTS = 6  # cached paintings of each background

# Side of an icon in pixels: for a single thing, and for one of two.
SIDES = {"small": 24, "large": 44}
PAIR_SIDES = {"small": 18, "large": 28}

# Centers of the first and the second thing as (x, y).
PLACES = {
    "left of": ((17, 33), (47, 33)), "right of": ((47, 33), (17, 33)),
    "above": ((32, 17), (32, 47)), "below": ((32, 47), (32, 17)),
}  # fmt: skip


def render(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Render a scene.

    Args:
        scene: scene without None fields; size and relation may be None, and are then drawn at
            random.
        rng: generator of the background's variant, the places and the defect's details.

    Returns:
        (64, 64, 3) float32 in [0, 1].

    Raises:
        ValueError: if the background, or a thing's color or object, is None.

    Examples:
        >>> from dpodiff.toy import render, scenes
        >>> scene = scenes.Scene((scenes.Thing("ball", "red", "large"),), background="sea")
        >>> image = render.render(scene, np.random.default_rng(0))
        >>> image.shape, image.dtype.name
        ((64, 64, 3), 'float32')
    """
    return _render_with_cover(scene, rng)[0]


def render_batch(scenes: list[Scene], rng: np.random.Generator) -> np.ndarray:
    """Render scenes as (B, 3, 64, 64) float32 in [0, 1].

    Raises:
        ValueError: if there are no scenes, or one cannot be rendered, as in `render`.

    Examples:
        >>> from dpodiff.toy import render, scenes
        >>> rng = np.random.default_rng(0)
        >>> render.render_batch([scenes.random_scene(rng) for _ in range(2)], rng).shape
        (2, 3, 64, 64)
    """
    scenes = check_each("scenes", scenes, lambda name, one: check_kind(name, one, Scene, "a Scene"))
    check_kind("rng", rng, np.random.Generator, "a numpy.random.Generator")
    if not scenes:
        raise ValueError("scenes is empty: there is nothing to draw")
    return np.stack([render(scene, rng) for scene in scenes]).transpose(0, 3, 1, 2).copy()


def render_with_covers(
    scenes: list[Scene], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of `render_batch`, and the coverage of each pixel by things (B, 64, 64)."""
    images, covers = zip(*(_render_with_cover(scene, rng) for scene in scenes))
    return np.stack(images).transpose(0, 3, 1, 2).copy(), np.stack(covers)


def _render_with_cover(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if scene.background is None or any(None in (t.object, t.color) for t in scene.things):
        raise ValueError(f"a scene needs objects, colors and a background to be drawn: {scene}")
    canvas = background(scene.background, int(rng.integers(VARIANTS))).copy()
    layer = _things_layer(scene, rng)
    if scene.defect == "duplicate":
        layer = _duplicate(layer)
    cover = layer[..., 3:]
    canvas = canvas * (1 - cover) + layer[..., :3]
    if scene.defect == "cropped":
        corner: Any = rng.choice([(0, 12), (32, 12), (12, 0), (12, 32)])  # a row of the array
        canvas, cover = (_enlarged(part, *corner) for part in (canvas, cover))
    elif scene.defect in _DEFECTS:
        canvas = _DEFECTS[scene.defect](canvas, rng)
    return np.clip(canvas, 0, 1).astype(np.float32), cover[..., 0]


def _things_layer(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return all things on an empty layer, (64, 64, 4), with premultiplied colors."""
    layer = np.zeros((SIZE, SIZE, 4), np.float32)
    for one in thing_layers(scene, rng):
        layer = over(layer, one)
    return layer


def thing_layers(scene: Scene, rng: np.random.Generator) -> list[np.ndarray]:
    """Return each thing on its own empty layer, (64, 64, 4), with premultiplied colors."""
    pair = len(scene.things) > 1
    relation = scene.relation or list(PLACES)[int(rng.integers(len(PLACES)))]
    places = PLACES[relation] if pair else ((32, 33),)
    jitter = 2 if pair else 4
    layers = []
    for thing, (x, y) in zip(scene.things, places):
        side = (PAIR_SIDES if pair else SIDES)[thing.size or SIZES[int(rng.integers(2))]]
        dx, dy = rng.integers(-jitter, jitter + 1, 2)
        left, top = (int(c + d - side // 2) for c, d in ((x, dx), (y, dy)))
        layer = np.zeros((SIZE, SIZE, 4), np.float32)
        _paste(layer, *icon(thing.object, thing.color, side), left, top)
        layers.append(layer)
    return layers


def over(bottom: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Composite `top` (64, 64, 4) over `bottom` (64, 64, 3 or 4), both premultiplied."""
    return bottom * (1 - top[..., 3:]) + top[..., : bottom.shape[-1]]


def _paste(layer: np.ndarray, color: np.ndarray, cover: np.ndarray, left: int, top: int) -> None:
    side = len(color)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, SIZE), min(top + side, SIZE)
    inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    area = layer[y0:y1, x0:x1]
    area *= 1 - cover[inside]
    area[..., :3] += color[inside]
    area[..., 3:] += cover[inside]


@functools.cache
def background(name: str, variant: int) -> np.ndarray:
    """Return one painting of a background, (64, 64, 3) float32 in [0, 1]."""
    # Its own generator: a painting does not depend on earlier ones.
    rng = np.random.default_rng([sum(map(ord, name)), variant])
    image = _BACKGROUNDS[name](rng).resize((SIZE, SIZE), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255


def _gradient(top, bottom, start: float = 0.0, stop: float = 1.0) -> Image.Image:
    """Return a 256 x 256 image that fades from `top` to `bottom` between two heights."""
    height = np.clip((np.linspace(0, 1, 256) - start) / (stop - start), 0, 1)[:, None, None]
    rows = np.asarray(top) * (1 - height) + np.asarray(bottom) * height
    return Image.fromarray(np.broadcast_to(rows, (256, 256, 3)).astype(np.uint8))


def _sky(rng) -> Image.Image:
    image = _gradient((120, 190, 245), (205, 232, 250))
    draw = ImageDraw.Draw(image)
    for y in (35, 205):
        x = int(rng.integers(20, 200))
        for dx, dy, r in ((-26, 6, 16), (0, 0, 24), (26, 6, 18)):
            draw.ellipse([x + dx - r, y + dy - r, x + dx + r, y + dy + r], fill=(250, 252, 255))
    return image


def _meadow(rng) -> Image.Image:
    image = _gradient((185, 225, 250), (200, 232, 245))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 110, 256, 256], fill=(120, 190, 80))
    draw.ellipse([-80, 80, 200, 220], fill=(120, 190, 80))
    for x, y in rng.integers((4, 130), (252, 252), (26, 2)):
        draw.line([x, y, x, y - 12], fill=(75, 145, 55), width=4)
    return image


def _desert(rng) -> Image.Image:
    image = _gradient((250, 225, 170), (255, 238, 200), 0, 0.5)
    draw = ImageDraw.Draw(image)
    shift = int(rng.integers(-30, 30))
    draw.ellipse([-100 + shift, 120, 190 + shift, 420], fill=(222, 178, 110))
    draw.ellipse([80 + shift, 150, 400 + shift, 460], fill=(205, 158, 92))
    draw.rectangle([0, 225, 256, 256], fill=(205, 158, 92))
    return image


def _night(rng) -> Image.Image:
    image = _gradient((12, 14, 50), (40, 40, 95))
    draw = ImageDraw.Draw(image)
    for x, y in rng.integers(6, 250, (22, 2)):
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(240, 240, 200))
    return image


def _sea(rng) -> Image.Image:
    image = _gradient((215, 238, 248), (235, 246, 250))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 100, 256, 256], fill=(30, 120, 165))
    shift = int(rng.integers(0, 40))
    for row, y in enumerate(range(120, 256, 32)):
        for x in range(-60 + (row % 2) * 30 + shift, 260, 60):
            draw.arc([x, y, x + 40, y + 18], 180, 360, fill=(130, 200, 220), width=6)
    return image


def _snow(rng) -> Image.Image:
    image = _gradient((160, 175, 195), (195, 205, 220), 0, 0.6)
    draw = ImageDraw.Draw(image)
    draw.ellipse([-120, 140, 380, 420], fill=(248, 250, 255))
    for x, y in rng.integers(6, 250, (26, 2)):
        draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=(255, 255, 255))
    return image


def _sunset(rng) -> Image.Image:
    image = _gradient((130, 70, 130), (255, 160, 80), 0.0, 0.75)
    draw = ImageDraw.Draw(image)
    x = int(rng.integers(60, 196))
    draw.ellipse([x - 40, 150, x + 40, 230], fill=(255, 225, 130))
    draw.rectangle([0, 200, 256, 256], fill=(90, 45, 70))
    return image


def _room(rng) -> Image.Image:
    image = _gradient((222, 208, 188), (232, 220, 202))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 180, 256, 256], fill=(150, 105, 70))
    draw.rectangle([0, 172, 256, 182], fill=(245, 240, 230))
    draw.rectangle([182, 24, 238, 84], fill=(175, 215, 240), outline=(110, 80, 55), width=7)
    return image


_BACKGROUNDS: dict[str, Callable] = {
    "sky": _sky, "meadow": _meadow, "desert": _desert, "night": _night, "sea": _sea,
    "snow": _snow, "sunset": _sunset, "room": _room,
}  # fmt: skip


def _blurry(image: np.ndarray, rng) -> np.ndarray:
    return np.asarray(_pil(image).filter(ImageFilter.GaussianBlur(2.6)), np.float32) / 255


def _grainy(image: np.ndarray, rng) -> np.ndarray:
    grain = rng.normal(0, 0.22, (SIZE // 2, SIZE // 2, 1)).astype(np.float32)
    return image + grain.repeat(2, 0).repeat(2, 1)


def _monochrome(image: np.ndarray, rng) -> np.ndarray:
    return np.repeat(image @ np.array([[0.3], [0.59], [0.11]], np.float32), 3, -1)


def _enlarged(image: np.ndarray, x: int, y: int) -> np.ndarray:
    """Return a quarter of the image at twice its size, so that things leave the frame."""
    piece = _pil(image).crop((x, y, x + 32, y + 32))
    pixels = np.asarray(piece.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32) / 255
    return pixels.reshape(image.shape)


def _dark(image: np.ndarray, rng) -> np.ndarray:
    return image * np.float32(0.28)


def _pixelated(image: np.ndarray, rng) -> np.ndarray:
    return image.reshape(16, 4, 16, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)


def _watermark(image: np.ndarray, rng) -> np.ndarray:
    """Return light diagonal bands across the image, always at the same places."""
    y, x = np.mgrid[:SIZE, :SIZE]
    band = ((x + y) % 16 < 4)[..., None]
    return np.where(band, 0.45 * image + 0.55, image)


def _duplicate(layer: np.ndarray) -> np.ndarray:
    """Add two copies of everything behind the things, up left and down right."""
    for step in (-14, 14):
        copy = np.zeros_like(layer)
        here = np.s_[max(step, 0) : SIZE + min(step, 0)]
        there = np.s_[max(-step, 0) : SIZE + min(-step, 0)]
        copy[here, here] = layer[there, there]
        layer = layer + copy * (1 - layer[..., 3:])
    return layer


_DEFECTS: dict[str, Callable] = {
    "blurry": _blurry, "grainy": _grainy, "monochrome": _monochrome,
    "dark": _dark, "pixelated": _pixelated, "watermark": _watermark,
}  # fmt: skip


def _pil(image: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8).squeeze())
