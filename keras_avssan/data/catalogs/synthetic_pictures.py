"""Pictures of the synthetic classes, drawn in code."""

import colorsys
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

# Drawn this many times larger, then reduced, for smooth edges.
_OVERSAMPLING = 3

_Colour: TypeAlias = str | tuple[int, ...]
_Range: TypeAlias = tuple[float, float] | np.ndarray


def draw_picture(
    class_name: str, rng: np.random.Generator, size: tuple[int, int] = (64, 64)
) -> np.ndarray:
    """Draws a picture of one of `PICTURE_CLASSES`, float32 (height, width, 3) in [0, 1].

    Every draw is another instance, in colours, size, place, angle, proportions and background.
    """
    height, width = size
    canvas = _background(rng, (width * _OVERSAMPLING, height * _OVERSAMPLING))
    _DRAWINGS[class_name](_Sketch(canvas, rng), rng)
    picture = canvas.resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture, "float32") / 255.0


class _Sketch:
    """Canvas with turned and scaled coordinates: x and y from -1 to 1, y downwards."""

    def __init__(self, canvas: Image.Image, rng: np.random.Generator) -> None:
        self._draw = ImageDraw.Draw(canvas)
        self._unit = min(canvas.size) / 2 * rng.uniform(0.62, 0.88)
        angle = np.radians(rng.uniform(-18, 18))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        stretch = np.diag([rng.choice([-1, 1]) * rng.uniform(0.88, 1.12), 1.0])
        self._matrix = self._unit * turn @ stretch
        self._centre = np.array(canvas.size) * (0.5 + rng.uniform(-0.08, 0.08, 2))
        self.outline = _colour(rng, value=(0.0, 0.25))
        self._stroke = rng.uniform(0.025, 0.06)

    def _pixels(self, points: ArrayLike) -> list[tuple[float, ...]]:
        return [tuple(p) for p in np.asarray(points, float) @ self._matrix.T + self._centre]

    def _width(self, width: float | None) -> int:
        return max(1, round((self._stroke if width is None else width) * self._unit))

    def polygon(self, points: ArrayLike, fill: _Colour) -> None:
        """Draws a filled area with the outline of this sketch."""
        pixels = self._pixels(points)
        self._draw.polygon(pixels, fill=fill)
        self._draw.line([*pixels, pixels[0]], self.outline, self._width(None), joint="curve")

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        fill: _Colour,
        turn: float = 0.0,
    ) -> None:
        """Draws a filled ellipse; `turn` in degrees."""
        self.polygon(_arc(x, y, radius_x, radius_y, 0, 360, turn), fill)

    def line(
        self, points: ArrayLike, colour: _Colour | None = None, width: float | None = None
    ) -> None:
        """Draws a stroke; `width` in units of the sketch."""
        self._draw.line(
            self._pixels(points), colour or self.outline, self._width(width), joint="curve"
        )


def _arc(
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    start: float,
    stop: float,
    turn: float = 0.0,
) -> np.ndarray:
    """Points of an elliptic arc; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 33))
    turn = np.radians(turn)
    across, down = radius_x * np.cos(angles), radius_y * np.sin(angles)
    return np.stack(
        [
            x + across * np.cos(turn) - down * np.sin(turn),
            y + across * np.sin(turn) + down * np.cos(turn),
        ],
        axis=1,
    )


def _colour(
    rng: np.random.Generator,
    hue: _Range = (0.0, 1.0),
    saturation: _Range = (0.2, 0.9),
    value: _Range = (0.5, 0.95),
) -> tuple[int, ...]:
    fractions = colorsys.hsv_to_rgb(*(rng.uniform(*limits) for limits in (hue, saturation, value)))
    return tuple(round(255 * fraction) for fraction in fractions)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A pale gradient with a few soft patches."""
    pale: dict[str, _Range] = {"saturation": (0.0, 0.35), "value": (0.75, 1.0)}
    ends = Image.new("RGB", (1, 2))
    ends.putdata([_colour(rng, **pale), _colour(rng, **pale)])
    canvas = ends.resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, 1, 2) * size
        radius = rng.uniform(0.05, 0.25) * size[0]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, **pale))
    return canvas


def _draw_bell(sketch: _Sketch, rng: np.random.Generator) -> None:
    metal = _colour(rng, hue=(0.08, 0.17), saturation=(0.4, 0.95))
    flare = rng.uniform(0.65, 0.85)
    sketch.ellipse(0, 0.68, 0.17, 0.17, _colour(rng, value=(0.3, 0.7)))
    sketch.polygon(_arc(0, -0.78, 0.13, 0.13, 180, 360), metal)
    right = [(0.36, 0.1), (0.45, 0.35), (flare, 0.6)]
    left = [(-x, y) for x, y in reversed(right)]
    sketch.polygon([*_arc(0, -0.3, 0.36, 0.45, 180, 360), *right, *left], metal)
    sketch.line([(-flare + 0.1, 0.42), (flare - 0.1, 0.42)])


def _draw_bird(sketch: _Sketch, rng: np.random.Generator) -> None:
    feathers, wing = _colour(rng), _colour(rng)
    lift = rng.uniform(-0.25, 0.1)
    sketch.polygon([(-0.5, 0.0), (-1.0, -0.3), (-0.95, 0.15)], wing)
    sketch.line([(-0.05, 0.45), (-0.1, 0.85), (0.05, 0.85)])
    sketch.line([(0.15, 0.42), (0.15, 0.85), (0.3, 0.85)])
    sketch.ellipse(0, 0.1, 0.62, 0.4, feathers, turn=-12)
    sketch.polygon([(0.72, -0.5), (1.02, -0.38), (0.74, -0.28)], _colour(rng, hue=(0.05, 0.15)))
    sketch.ellipse(0.5, -0.4, 0.29, 0.29, feathers)
    sketch.ellipse(0.58, -0.46, 0.06, 0.06, "black")
    sketch.polygon([(0.2, 0.0), (-0.35, lift - 0.2), (-0.6, lift), (-0.2, 0.25)], wing)


def _draw_dog(sketch: _Sketch, rng: np.random.Generator) -> None:
    fur = _colour(rng, hue=(0.03, 0.13), saturation=(0.1, 0.7), value=(0.35, 0.95))
    ear = _colour(rng, hue=(0.03, 0.1), saturation=(0.3, 0.7), value=(0.2, 0.5))
    droop = rng.uniform(0.3, 0.55)
    sketch.ellipse(0, 0.05, 0.62, 0.68, fur)
    for side in (-1, 1):
        sketch.ellipse(side * 0.66, -0.1, 0.2, droop, ear, turn=-side * 15)
        sketch.ellipse(side * 0.25, -0.2, 0.1, 0.12, "white")
        sketch.ellipse(side * 0.25, -0.18, 0.05, 0.06, "black")
    muzzle = _colour(rng, hue=(0.05, 0.12), saturation=(0.05, 0.3), value=(0.8, 1.0))
    sketch.ellipse(0, 0.38, 0.36, 0.28, muzzle)
    sketch.polygon(_arc(0, 0.56, 0.12, 0.3, 0, 180), _colour(rng, (0.95, 1.0), value=(0.8, 0.95)))
    sketch.ellipse(0, 0.24, 0.15, 0.1, "black")
    sketch.line([(-0.2, 0.5), (0, 0.56), (0.2, 0.5)])


def _draw_drum(sketch: _Sketch, rng: np.random.Generator) -> None:
    shell, skin = _colour(rng, value=(0.4, 0.9)), _colour(rng, saturation=(0.0, 0.15))
    depth = rng.uniform(0.35, 0.6)
    rim = _arc(0, depth, 0.75, 0.25, 0, 180)
    sketch.polygon([(-0.75, -0.15), *rim[::-1], (0.75, -0.15)], shell)
    corners = np.linspace(-0.7, 0.7, rng.integers(5, 9))
    zigzag = [(x, (0.1, depth + 0.05)[k % 2]) for k, x in enumerate(corners)]
    sketch.line(zigzag, _colour(rng, saturation=(0.0, 0.4), value=(0.85, 1.0)))
    sketch.ellipse(0, -0.15, 0.75, 0.25, skin)
    wood = _colour(rng, hue=(0.05, 0.12), value=(0.4, 0.8))
    for side in (-1, 1):
        tip = (side * 0.2, -0.2)
        sketch.line([(side * 0.85, -0.85), tip], wood, width=0.1)
        sketch.ellipse(*tip, 0.09, 0.09, wood)


def _draw_engine(sketch: _Sketch, rng: np.random.Generator) -> None:
    paint = _colour(rng, saturation=(0.5, 1.0), value=(0.4, 0.95))
    glass = _colour(rng, hue=(0.5, 0.6), saturation=(0.1, 0.4), value=(0.8, 1.0))
    front = rng.uniform(0.35, 0.55)
    sketch.polygon([(-0.6, 0.05), (-0.4, -0.4), (front - 0.15, -0.4), (front + 0.1, 0.05)], paint)
    sketch.polygon([(-0.48, 0.03), (-0.34, -0.3), (-0.05, -0.3), (-0.05, 0.03)], glass)
    sketch.polygon([(0.03, 0.03), (0.03, -0.3), (front - 0.2, -0.3), (front - 0.05, 0.03)], glass)
    sketch.polygon([(-0.95, 0.05), (0.75, 0.02), (0.98, 0.15), (0.98, 0.42), (-0.95, 0.42)], paint)
    sketch.ellipse(0.9, 0.2, 0.07, 0.08, _colour(rng, hue=(0.12, 0.17), value=(0.9, 1.0)))
    radius = rng.uniform(0.2, 0.27)
    for x in (-0.5, 0.55):
        sketch.ellipse(x, 0.45, radius, radius, "black")
        sketch.ellipse(x, 0.45, radius / 2, radius / 2, "lightgray")


def _draw_flute(sketch: _Sketch, rng: np.random.Generator) -> None:
    body = _colour(rng, saturation=(0.1, 0.7), value=(0.55, 0.95))
    radius = rng.uniform(0.1, 0.15)
    sketch.polygon([(-1.0, -radius), (1.0, -radius), (1.0, radius), (-1.0, radius)], body)
    sketch.ellipse(-0.7, 0, 0.1, 0.06, "black")
    for x in np.linspace(-0.3, 0.85, rng.integers(5, 8)):
        sketch.ellipse(x, 0, 0.05, 0.05, "black")
    for x in (-0.45, 0.92):
        sketch.line([(x, -radius), (x, radius)], width=0.08)
    for x, y in ((-0.35, -0.55), (0.35, -0.7)):
        sketch.ellipse(x, y, 0.12, 0.09, sketch.outline, turn=-20)
        sketch.line([(x + 0.11, y), (x + 0.11, y - 0.32), (x + 0.26, y - 0.2)])


def _draw_rain(sketch: _Sketch, rng: np.random.Generator) -> None:
    cloud = _colour(rng, hue=(0.55, 0.7), saturation=(0.0, 0.3), value=(0.55, 0.9))
    water = _colour(rng, hue=(0.52, 0.66), saturation=(0.5, 1.0), value=(0.6, 1.0))
    puffs = ((-0.5, -0.4, 0.3), (0.5, -0.42, 0.3), (0, -0.6, rng.uniform(0.32, 0.42)))
    for x, y, radius in puffs:
        sketch.ellipse(x, y, radius, radius, cloud)
    sketch.polygon(
        [*_arc(-0.5, -0.28, 0.25, 0.15, 90, 180), *_arc(0.5, -0.28, 0.25, 0.15, 0, 90)], cloud
    )
    for x in np.linspace(-0.6, 0.6, rng.integers(3, 6)):
        y = rng.uniform(0.1, 0.65)
        sketch.polygon([*_arc(x, y, 0.11, 0.13, -20, 200), (x, y - 0.3)], water)


def _draw_siren(sketch: _Sketch, rng: np.random.Generator) -> None:
    light = _colour(rng, hue=rng.choice([0.0, 0.6]) + np.array([0.0, 0.07]), saturation=(0.7, 1.0))
    half = rng.uniform(0.36, 0.48)
    rays = _colour(rng, hue=(0.0, 0.16), saturation=(0.6, 1.0), value=(0.9, 1.0))
    for angle in np.radians(np.linspace(190, 350, rng.integers(5, 8))):
        direction = np.array([np.cos(angle), np.sin(angle)])
        sketch.line([0.68 * direction, 0.98 * direction], rays, width=0.09)
    sketch.polygon([*_arc(0, -0.05, half, 0.42, 180, 360), (half, 0.5), (-half, 0.5)], light)
    sketch.ellipse(-half / 3, 0.0, 0.08, 0.2, "white")
    base = _colour(rng, saturation=(0.0, 0.3), value=(0.2, 0.6))
    sketch.polygon([(-0.65, 0.5), (0.65, 0.5), (0.75, 0.8), (-0.75, 0.8)], base)


_DRAWINGS = {
    "bell": _draw_bell,
    "bird": _draw_bird,
    "dog": _draw_dog,
    "drum": _draw_drum,
    "engine": _draw_engine,
    "flute": _draw_flute,
    "rain": _draw_rain,
    "siren": _draw_siren,
}
PICTURE_CLASSES = tuple(_DRAWINGS)
