"""The twelve objects as vector drawings, recognizable at a size of twelve pixels.

An icon is drawn with supersampling on a square canvas with coordinates from -1 to 1, y down. Its
main color fills most of it, so that the color of a thing is clear.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLE = 8

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 35), "orange": (250, 135, 20), "yellow": (250, 220, 40),
    "green": (40, 165, 60), "blue": (35, 90, 225), "purple": (130, 50, 170),
    "pink": (250, 130, 185), "white": (245, 245, 245),
}  # fmt: skip

WOOD, GLASS, TYRE = (120, 75, 40), (190, 225, 245), (40, 40, 45)


class Pen:
    """Draws filled shapes with an outline on the canvas of one icon."""

    def __init__(self, size: int, color: tuple[int, int, int]):
        self.scale = size * SUPERSAMPLE / 2
        self.image = Image.new("RGBA", (size * SUPERSAMPLE, size * SUPERSAMPLE))
        self.draw = ImageDraw.Draw(self.image)
        self.color = color
        self.outline = tuple(int(0.35 * c) for c in color)
        self.shade = tuple(int(0.72 * c) for c in color)
        self.width = max(SUPERSAMPLE, round(0.09 * self.scale))

    def polygon(self, points, fill=None) -> None:
        """Draw a filled polygon with a rounded outline."""
        xy = [self._at(p) for p in points]
        self.draw.polygon(xy, fill=fill or self.color)
        self.draw.line([*xy, *xy[:2]], fill=self.outline, width=self.width, joint="curve")

    def ellipse(self, x, y, rx, ry, fill=None) -> None:
        """Draw a filled ellipse centered at (x, y)."""
        box = [*self._at((x - rx, y - ry)), *self._at((x + rx, y + ry))]
        self.draw.ellipse(box, fill=fill or self.color, outline=self.outline, width=self.width)

    def rectangle(self, left, top, right, bottom, fill=None) -> None:
        """Draw a filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def _at(self, point) -> tuple[float, float]:
        return (point[0] + 1) * self.scale, (point[1] + 1) * self.scale


def _ball(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.9, 0.9)
    shine = [*pen._at((-0.5, -0.6)), *pen._at((-0.1, -0.25))]
    pen.draw.ellipse(shine, fill=(255, 255, 255))


def _box(pen: Pen) -> None:
    pen.polygon([(-0.85, -0.35), (-0.4, -0.85), (0.9, -0.85), (0.45, -0.35)])
    pen.polygon([(0.45, -0.35), (0.9, -0.85), (0.9, 0.4), (0.45, 0.9)], pen.shade)
    pen.rectangle(-0.85, -0.35, 0.45, 0.9)


def _star(pen: Pen) -> None:
    angles = [math.pi * (i / 5 - 0.5) for i in range(10)]
    radii = [0.98, 0.42] * 5
    pen.polygon([(r * math.cos(a), r * math.sin(a)) for a, r in zip(angles, radii)])


def _heart(pen: Pen) -> None:
    turns = np.linspace(0, 2 * math.pi, 60)
    x = 0.92 * np.sin(turns) ** 3
    wave = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    pen.polygon(list(zip(x, -wave / 17.5)))


def _moon(pen: Pen) -> None:
    outer = np.linspace(0.28 * math.pi, 1.72 * math.pi, 40)
    inner = np.linspace(1.63 * math.pi, 0.37 * math.pi, 40)
    shape = [(0.15 + 0.9 * math.cos(a), 0.9 * math.sin(a)) for a in outer]
    shape += [(0.48 + 0.66 * math.cos(a), 0.72 * math.sin(a)) for a in inner]
    pen.polygon(shape)


def _tree(pen: Pen) -> None:
    pen.rectangle(-0.15, 0.5, 0.15, 0.95, WOOD)
    for top, bottom, half in ((-0.05, 0.6, 0.8), (-0.5, 0.15, 0.62), (-0.95, -0.3, 0.44)):
        pen.polygon([(0, top - 0.1), (half, bottom), (-half, bottom)])


def _house(pen: Pen) -> None:
    pen.rectangle(-0.65, -0.1, 0.65, 0.9)
    pen.polygon([(0, -0.95), (0.95, -0.05), (-0.95, -0.05)], pen.shade)
    pen.rectangle(-0.18, 0.35, 0.18, 0.9, WOOD)


def _boat(pen: Pen) -> None:
    pen.rectangle(-0.06, -0.9, 0.06, 0.4, WOOD)
    pen.polygon([(0.06, -0.85), (0.75, 0.2), (0.06, 0.2)])
    pen.polygon([(-0.12, -0.6), (-0.12, 0.2), (-0.62, 0.2)])
    pen.polygon([(-0.95, 0.38), (0.95, 0.38), (0.6, 0.9), (-0.6, 0.9)])


def _car(pen: Pen) -> None:
    pen.polygon([(-0.5, 0), (-0.3, -0.55), (0.3, -0.55), (0.6, 0)], GLASS)
    pen.polygon([(-0.95, 0), (0.75, 0), (0.95, 0.15), (0.95, 0.5), (-0.95, 0.5)])
    for x in (-0.5, 0.5):
        pen.ellipse(x, 0.5, 0.26, 0.26, TYRE)


def _plane(pen: Pen) -> None:
    pen.polygon([(-0.92, -0.6), (-0.68, -0.6), (-0.42, 0), (-0.9, 0)], pen.shade)
    pen.ellipse(0, 0.02, 0.95, 0.24)
    pen.polygon([(0.2, 0.02), (-0.12, 0.02), (-0.5, 0.75), (-0.24, 0.75)], pen.shade)
    pen.polygon([(0.2, -0.1), (-0.08, -0.1), (-0.3, -0.65), (-0.1, -0.65)], pen.shade)


def _fish(pen: Pen) -> None:
    pen.polygon([(-0.4, 0), (-0.95, -0.55), (-0.95, 0.55)], pen.shade)
    pen.ellipse(0.18, 0, 0.75, 0.5)
    pen.ellipse(0.55, -0.12, 0.11, 0.11, (255, 255, 255))


def _cup(pen: Pen) -> None:
    pen.ellipse(0.55, 0.1, 0.38, 0.38, pen.shade)
    hole = [*pen._at((0.4, -0.08)), *pen._at((0.72, 0.28))]
    pen.draw.ellipse(hole, fill=(0, 0, 0, 0))
    pen.polygon([(-0.75, -0.6), (0.5, -0.6), (0.36, 0.85), (-0.6, 0.85)])
    pen.ellipse(-0.125, -0.6, 0.63, 0.2, WOOD)


ICONS: dict[str, Callable[[Pen], None]] = {
    "ball": _ball, "box": _box, "star": _star, "heart": _heart, "moon": _moon, "tree": _tree,
    "house": _house, "boat": _boat, "car": _car, "plane": _plane, "fish": _fish, "cup": _cup,
}  # fmt: skip


@functools.cache
def icon(name: str, color: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return color (size, size, 3) and coverage (size, size, 1) of an icon, float32 in [0, 1]."""
    pen = Pen(size, PALETTE[color])
    ICONS[name](pen)
    # Premultiplied before downsampling, to avoid a dark fringe from the empty canvas.
    full = np.asarray(pen.image, np.float32) / 255
    full[..., :3] *= full[..., 3:]
    small = full.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 4).mean((1, 3))
    return small[..., :3], small[..., 3:]
