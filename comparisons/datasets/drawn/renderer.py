"""Draws grey faces from numbers: a textured ellipsoid with features as curves, lit from one side.

Face coordinates: x points right and y down, the origin is between eyes and nose, and 1 is about
half a face. A feature is a signed distance or a soft stroke in these coordinates; `e` is the size
of a pixel, over which edges are smoothed. Every array is (n, H, W), every parameter (n, 1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from comparisons.datasets.base import Array

CHUNK = 2**15   # pixels drawn at once: their arrays stay in the processor's cache


@dataclass
class Canvas:
    """The pictures of n faces while they are drawn, and the position of each pixel in the face."""

    x: Array
    y: Array
    e: Array                # the size of a pixel in face units
    mirror: Array           # |x|: both halves of the face are drawn at once
    f: SimpleNamespace      # identity, light and pose, see generator.people and .scenes
    au: dict[int, Array]    # action unit → intensity, blended between the halves
    tone: Array             # brightness, 0 … 1
    height: Array           # relief of the skin, for the light

    def paint(self, tone: Array | float, alpha: Array) -> None:
        self.tone += alpha * (tone - self.tone)

    def darken(self, alpha: Array) -> None:
        self.tone *= 1 - alpha

    def fill(self, distance: Array) -> Array:
        """The share of each pixel that is inside a shape, where `distance` is negative."""
        inside: Array = np.clip(0.5 - distance / self.e, 0, 1)
        return inside

    def stroke(self, distance: Array, half: Array | float) -> Array:
        """How much of each pixel a line of half width `half` covers, exact across the line."""
        d, e = np.abs(distance), self.e
        width = np.minimum(d + e / 2, half) - np.maximum(d - e / 2, -half)
        covered: Array = np.clip(width, 0, None) / e
        return covered

    def soft(self, distance: Array, width: Array | float) -> Array:
        """A soft line or spot, never narrower than a pixel can show."""
        wide = np.maximum(width, 0.7 * self.e)
        share: Array = np.exp(-np.square(distance / wide)) * np.minimum(width / wide, 1)
        return share

    def bump(self, x: Array | float, y: Array | float, rx: Array | float,
             ry: Array | float) -> Array:
        share: Array = np.exp(-np.square((self.mirror - x) / rx) - np.square((self.y - y) / ry))
        return share


def render(faces: dict[str, Array], units: dict[int, Array], size: int,
           rng: np.random.Generator) -> Array:
    """Draw each face.

    Shapes: each array of faces is (N,), each of units (N, 2), for the left and the right half of
    the picture → (N, size, size) uint8.
    """
    n = len(next(iter(faces.values())))
    pictures = np.empty((n, size, size), np.uint8)
    step = max(1, CHUNK // size**2)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        f = SimpleNamespace(**{k: v[rows, None, None].astype(np.float32)
                               for k, v in faces.items()})
        pictures[rows] = _draw(f, {k: v[rows].astype(np.float32) for k, v in units.items()},
                               size, rng)
    return pictures


def _draw(f: SimpleNamespace, units: dict[int, Array], size: int,
          rng: np.random.Generator) -> Array:
    v, u = np.mgrid[:size, :size].astype(np.float32) * 2 / size - (1 - 1 / size)
    jaw = (0.3 * units[26] + 0.7 * units[27]).mean(1)[:, None, None]
    p, q, z, x, y = _project(f, u[None], v[None], jaw)
    e = np.asarray(2 / size / f.zoom)
    half = 0.5 + 0.5 * np.tanh(x / 0.1)
    au = {k: a[:, :1, None] * (1 - half) + a[:, 1:, None] * half for k, a in units.items()}
    c = Canvas(x, y, e, np.abs(x), f, au, np.broadcast_to(f.skin, x.shape).copy(),
               np.zeros_like(x))
    _skin(c)
    _nose(c)
    _folds(c)
    _eyes(c)
    _mouth(c)
    _beard(c)
    _brows(c)
    c.tone *= _light(c, p, q, z)
    _glasses(c)
    _hair_over(c)
    inside = np.clip(0.5 + (1 - np.sqrt(p * p + q * q)) * f.width / e, 0, 1)
    behind = _behind(c, f, u, v, p, q)
    picture = behind + inside * (c.tone - behind)
    return _expose(picture, f, rng)


def _project(f: SimpleNamespace, u: Array, v: Array, jaw: Array) -> tuple[Array, ...]:
    """Where each pixel meets the head: (p, q, z) on the unit sphere, (x, y) on the face."""
    cos, sin = np.cos(f.roll), np.sin(f.roll)
    u, v = (u - f.shift_x) / f.zoom, (v - f.shift_y) / f.zoom
    u, v = u * cos + v * sin, v * cos - u * sin
    tall = np.where(v < 0, f.top, f.bottom + 0.13 * jaw)
    q = v / tall
    taper = np.clip(q, 0, 1.2)**2 * (3 - 2 * np.clip(q, 0, 1))
    jowl = 0.12 * np.clip(q, 0, 1)**2                   # a jaw is squarer than an egg
    wide = f.width * (1 + jowl - f.jaw_taper * taper)
    p = u / wide
    z = np.sqrt(np.clip(1 - p * p - q * q, 0, None))
    turned = p * np.cos(f.yaw) - z * np.sin(f.yaw)
    depth = p * np.sin(f.yaw) + z * np.cos(f.yaw)
    y = (q * np.cos(f.pitch) - depth * np.sin(f.pitch)) * tall
    return p, q, z, turned * wide, y - 0.13 * jaw * np.clip(y - 0.35, 0, 0.6)


def _grain(f: SimpleNamespace, x: Array, y: Array, fine: float) -> Array:
    """A pattern of the person's own, from -1 to 1: waves that cross each other."""
    across = np.sin(fine * (y * 2.3 - x * 2.1) + 2 * f.grain)
    along = np.sin(fine * (x * 3.1 + y * 1.7) + f.grain)
    waves: Array = (0.6 * across * along
                    + 0.4 * np.sin(fine * (x * 5.3 - y * 4.1) + 3 * f.grain))
    return waves


def _skin(c: Canvas) -> None:
    f, au = c.f, c.au
    c.tone *= 1 + 0.05 * f.blotchy * _grain(f, c.x, c.y, 2.2)
    smile = 0.6 * au[12] + 0.9 * au[6]
    c.height += (0.10 + 0.08 * smile) * c.bump(f.eye_x + 0.10, 0.20 - 0.07 * smile, 0.20, 0.17)
    c.height += 0.07 * c.bump(f.eye_x, f.brow_y + 0.06, 0.26, 0.09)         # ridge of the brow
    c.height -= 0.11 * c.bump(f.eye_x - 0.02, f.eye_y, 0.17, 0.12)          # socket
    c.height += (0.08 + 0.07 * au[17]) * c.bump(0, f.mouth_y + 0.33, 0.17, 0.11)
    c.height += 0.09 * c.bump(0, -0.75, 0.5, 0.25)                          # forehead


def _nose(c: Canvas) -> None:
    f, au = c.f, c.au
    wrinkle = au[9]
    x = c.x - 0.16 * np.sin(f.yaw)                  # the nose shifts when the head turns
    mirror = np.abs(x)
    tip = f.nose_y - 0.05 * wrinkle - 0.03 * au[10]
    wing = f.nose_w * (1 + 0.15 * wrinkle + 0.10 * au[12] + 0.06 * au[10])
    ridge = 1 / (1 + np.exp(-(c.y + 0.25) / 0.05)) / (1 + np.exp((c.y - tip) / 0.04))
    c.height += 0.11 * ridge * np.exp(-np.square(x / (0.35 * f.nose_w + 0.045)))
    c.height += 0.10 * np.exp(-np.square(x / (0.7 * f.nose_w)) - np.square((c.y - tip) / 0.07))
    c.height += 0.05 * np.exp(-np.square((mirror - wing) / 0.055) - np.square((c.y - tip) / 0.055))
    nostril = np.square((mirror - 0.52 * wing) / (0.33 * wing)) + np.square(
        (c.y - tip - 0.055) / (0.022 + 0.008 * wrinkle))
    c.darken(0.62 * np.exp(-nostril))
    c.darken(0.24 * np.exp(-np.square(x / wing) - np.square((c.y - tip - 0.085) / 0.03)))
    side = np.hypot(mirror - 0.96 * wing, (c.y - tip) * 1.1) - 0.045
    c.darken(0.38 * c.soft(side, 0.02) * (mirror > 0.96 * wing))
    for line in (-0.16, -0.10, -0.04):
        curve = c.y - (f.eye_y + 0.14 + line) + 0.06 * np.cos(12 * mirror) - 0.35 * mirror
        c.darken(0.75 * wrinkle * c.soft(curve, 0.020) * np.exp(-np.square(mirror / 0.13)**2))
    bunched = np.abs(mirror - 0.15 - 0.25 * np.clip(c.y - f.eye_y, 0, 1))    # from eye to wing
    along = np.exp(-np.square((c.y - f.eye_y - 0.18) / 0.09))
    c.darken(0.45 * wrinkle * along * c.soft(bunched, 0.025))


def _folds(c: Canvas) -> None:
    """Furrows in the skin, caused by action units and by age."""
    f, au = c.f, c.au
    corner_x, corner_y = _corner(c)
    start_x, start_y = f.nose_w + 0.05, f.nose_y - 0.05 - 0.03 * au[9]
    along = np.clip((c.y - start_y) / np.maximum(corner_y + 0.06 - start_y, 0.1), 0, 1)
    path = start_x + (corner_x + 0.09 - start_x) * along**(0.8 - 0.25 * au[12])
    # a wrinkled nose deepens the fold beside it, and hardly its end beside the mouth
    depth = (0.03 + 0.16 * f.age + 0.34 * au[12] + 0.26 * au[10] + 0.50 * au[9] * (1 - along)
             + 0.36 * au[11] + 0.12 * au[14])
    ends = np.sqrt(np.clip(np.sin(np.pi * along), 0, None))
    c.darken(np.clip(depth, 0, 0.6) * ends * c.soft(c.mirror - path, 0.024))
    c.height += 0.05 * depth * ends * c.soft(c.mirror - path - 0.07, 0.06)
    frown = c.soft(c.mirror - 0.05 - 0.02 * (c.y - f.brow_y), 0.017)
    c.darken((0.10 * f.age + 0.75 * au[4]) * frown * c.soft(c.y - f.brow_y - 0.03, 0.10))
    raised = np.clip(au[1] + 0.8 * au[2], 0, 1.5)
    for k, line in enumerate((0.16, 0.26, 0.36)):
        curve = c.y - (f.brow_y - line - 0.04 * raised) + 0.03 * np.cos(5 * c.x + f.grain + k)
        inner = np.exp(-np.square(c.mirror / (0.22 + 0.2 * np.clip(au[2], 0, 1))))
        c.darken((0.05 * f.age + 0.22 * raised) * inner * c.soft(curve, 0.016))
    outer = c.mirror - f.eye_x - f.eye_w
    fan = np.cos(9 * np.arctan2(c.y - f.eye_y, outer + 0.02))
    near = np.exp(-np.square((outer - 0.09) / 0.06) - np.square((c.y - f.eye_y) / 0.09))
    c.darken((0.06 * f.age + 0.75 * au[6]) * near * np.clip(fan, 0, 1))
    bag = c.y - f.eye_y - 0.10 + 0.03 * au[6] + 0.25 * np.square(c.mirror - f.eye_x)
    c.darken((0.10 + 0.12 * f.age + 0.50 * au[6] + 0.16 * au[7])
             * c.soft(bag, 0.025) * c.soft(c.mirror - f.eye_x, 0.15))
    dimple = np.square((c.mirror - corner_x - 0.05) / 0.035) + np.square((c.y - corner_y) / 0.07)
    c.darken(0.65 * au[14] * np.exp(-dimple))
    pits = 0.5 + 0.5 * _grain(f, c.x, c.y, 16)
    c.darken(0.38 * au[17] * pits * c.bump(0, f.mouth_y + 0.32, 0.13, 0.07))


def _eyes(c: Canvas) -> None:
    f, au = c.f, c.au
    s = (c.mirror - f.eye_x) / f.eye_w                          # -1 inner corner … 1 outer
    t = c.y - f.eye_y + f.eye_tilt * s
    almond = np.clip(1 - s * s, 0, None)
    opening = f.eye_h * (1 - f.blink)
    upper = opening * np.clip(1 + 1.15 * au[5] - 0.40 * au[7] - 0.25 * au[6] - 0.22 * au[4]
                              - 0.25 * au[9] + 0.14 * au[1] * (s < 0) * -s, 0.12, 2)
    lower = 0.62 * opening * np.clip(1 + 0.15 * au[5] - 0.60 * au[7] - 0.60 * au[6]
                                     - 0.35 * au[9], 0.05, 1.15)
    lid, rim = -upper * almond**0.8, lower * almond
    outside = np.maximum(np.maximum(lid - t, t - rim), (np.abs(s) - 1) * f.eye_w)
    white = c.fill(outside)
    c.darken(0.32 * c.soft(outside, 0.05) * (1 - white))        # shadow around the eye
    c.paint(0.30 + 0.55 * f.skin_light, white)
    gaze_x = c.x - np.sign(c.x) * f.eye_x - f.gaze_x
    iris = np.hypot(gaze_x, t - f.gaze_y - (rim + lid) * 0.2) - f.iris
    c.paint(f.iris_tone, white * c.fill(iris))
    c.paint(0.04, white * c.fill(iris + 0.55 * f.iris))
    glint = np.hypot(gaze_x + 0.02 * np.sign(f.light_x), t + 0.025) - 0.014
    c.paint(0.95, 0.8 * white * c.fill(glint))
    c.darken(0.40 * white * c.soft(t - lid, 0.03))
    ends = np.clip(1.25 - np.abs(s), 0, 0.25) * 4
    c.darken(0.85 * f.lash * ends * c.stroke(t - lid, 0.012 + 0.012 * f.lash))
    c.darken(0.35 * ends * c.stroke(t - rim, 0.008))
    crease = t - lid + f.crease * (1 - 0.5 * au[5] + 0.25 * au[4]) * (0.6 + 0.4 * almond)
    c.darken(0.32 * ends * c.soft(crease, 0.016))


def _brows(c: Canvas) -> None:
    f, au = c.f, c.au
    s = (c.mirror - f.eye_x - 0.015 + 0.03 * au[4]) / f.brow_w
    inner, outer = np.clip((1 - s) / 2, 0, 1), np.clip((1 + s) / 2, 0, 1)
    # together with unit 1, unit 4 draws the brows together but leaves their inner ends raised
    line = (f.brow_y - f.brow_arch * (1 - s * s) * 0.5 - f.brow_tilt * s
            - 0.17 * au[1] * inner**1.3 - 0.15 * au[2] * outer**1.2 - 0.03 * au[5]
            + 0.14 * au[4] * (0.35 + (0.65 - 0.6 * au[1]) * inner) + 0.06 * au[9] * inner)
    thick = f.brow_thick * (1 - 0.55 * outer**2) * np.clip(1.1 - np.abs(s)**6, 0.05, 1)
    distance = np.maximum(np.abs(c.y - line) - thick, (np.abs(s) - 1.05) * f.brow_w)
    hairs = 0.85 + 0.15 * np.sin(70 * c.x + 40 * c.y * np.sign(c.x) + f.grain)
    c.paint(0.85 * f.hair + 0.02, f.brow_dark * hairs * c.fill(distance))
    c.darken(0.20 * f.brow_dark * c.soft(distance, 0.03))


def _corner(c: Canvas) -> tuple[Array, Array]:
    """The corner of the mouth: its distance from the middle, and its y."""
    f, au = c.f, c.au
    wide = f.mouth_w * (1 + 0.30 * au[12] + 0.32 * au[20] - 0.20 * au[23] - 0.16 * au[24]
                        - 0.27 * au[27] - 0.08 * au[17] + 0.06 * au[15] + 0.08 * au[14])
    drop = 0.04 * au[26] + 0.09 * au[27]
    y = (f.mouth_y + drop - 0.12 * au[12] + 0.10 * au[15] - 0.075 * au[14] + 0.02 * au[20]
         - f.mouth_lift)
    return wide, y


def _mouth(c: Canvas) -> None:
    f, au = c.f, c.au
    wide, corner = _corner(c)
    s = c.x / wide
    arch = np.clip(1 - s * s, 0, None)
    drop = 0.04 * au[26] + 0.09 * au[27]
    middle = (f.mouth_y + drop - 0.035 * au[17] - 0.05 * au[10] - 0.015 * au[9]
              + 0.015 * au[12])
    line = corner + (middle - corner) * arch
    bell = arch**(1.15 - 0.45 * np.clip(au[26] + au[27], 0, 1))    # a dropped jaw rounds it
    tight = np.clip(1 - 0.55 * au[23] - 0.62 * au[24] - 0.22 * au[12] - 0.15 * au[20], 0.12, 1)
    parted = au[25] * (0.030 + 0.055 * au[12]) + 0.095 * au[26] + 0.215 * au[27]
    show = np.clip(au[25] + au[26] + au[27], 0, 1)
    top_gap = (0.30 * parted + 0.06 * au[10] * show) * bell
    low_gap = (0.70 * parted + 0.045 * au[16] * show) * bell
    bow = 1 - 0.22 * np.exp(-np.square(s / 0.13))
    bow += 0.10 * np.exp(-np.square((np.abs(s) - 0.22) / 0.13))
    top = line - top_gap - (f.lip_top * tight * bow + 0.03 * au[10] + 0.01 * au[9]) * bell
    low = line + low_gap + f.lip_low * tight * (1 + 0.15 * au[17]) * bell
    beyond = (np.abs(s) - 1) * wide
    lips = c.fill(np.maximum(np.maximum(top - c.y, c.y - low), beyond))
    c.height += 0.02 * c.soft(c.y - (top + line - top_gap) / 2, 0.05) * arch
    c.height += 0.035 * c.soft(c.y - (low + line + low_gap) / 2, 0.06) * arch
    c.paint(f.skin * f.lip_tone, lips)
    c.darken(0.13 * lips * (c.y < line))                        # the upper lip faces down
    c.darken(0.30 * c.soft(c.y - low - 0.035, 0.03) * np.exp(-np.square(s / 0.75)))
    groove = c.y - (top + f.nose_y + 0.07) / 2
    c.darken(0.10 * np.exp(-np.square(c.x / 0.04)) * c.soft(groove, 0.05))
    hollow = np.maximum(np.maximum(line - top_gap - c.y, c.y - line - low_gap), beyond)
    hole = c.fill(hollow) * np.clip((top_gap + low_gap) / c.e, 0, 1)
    c.paint(0.07, hole)
    bared = np.clip(0.75 * au[12] + 0.6 * au[20] + 0.8 * au[10] + 0.25, 0, 1)
    teeth = c.y - (line - top_gap) - 0.065 * bared
    c.paint(0.80, 0.9 * hole * c.fill(teeth) * (np.abs(s) < 0.86))
    bottom = line + low_gap - 0.045 * (0.5 * au[20] + 0.9 * au[16]) - c.y
    c.paint(0.66, 0.8 * hole * c.fill(bottom) * (np.abs(s) < 0.7))
    tongue = np.square(s / 0.6) + np.square((c.y - line - low_gap) / (0.55 * low_gap + 0.01))
    c.paint(0.30, 0.7 * hole * np.clip(1.2 - tongue, 0, 1))
    closed = 1 - np.clip(parted / 0.03, 0, 1)
    reach = np.clip((1.06 - np.abs(s)) * 8, 0, 1)
    c.darken(0.72 * (0.35 + 0.65 * closed) * reach * c.stroke(c.y - line, 0.014 + 0.006 * au[24]))
    c.darken(0.30 * np.exp(-np.square(beyond / 0.03) - np.square((c.y - corner) / 0.03)))


def _beard(c: Canvas) -> None:
    f = c.f
    wide, corner = _corner(c)
    grain = 0.8 + 0.2 * _grain(f, c.x, c.y, 14)
    jaw = np.clip((c.y - 0.25 - 0.35 * np.exp(-np.square(c.mirror / 0.33))) * 6, 0, 1)
    around = np.clip(np.hypot(c.x / (wide * 1.05), (c.y - corner) / 0.13) * 2 - 2, 0, 1)
    c.paint(0.8 * f.hair + 0.05, f.beard * grain * jaw * around)
    over = np.exp(-np.square(c.x / (0.9 * wide))**2
                  - np.square((c.y - (f.nose_y + 0.07 + corner) / 2 - 0.01) / 0.055))
    c.paint(0.8 * f.hair + 0.05, f.moustache * grain * np.clip(1.5 * over, 0, 1))


def _light(c: Canvas, p: Array, q: Array, z: Array) -> Array:
    """Light by Lambert's law on the ellipsoid with its relief, added to ambient light."""
    f = c.f
    dy, dx = np.gradient(c.height, axis=(1, 2))
    nx, ny, nz = 0.70 * p - dx / c.e, 0.40 * q - dy / c.e, z + 0.40
    norm = np.sqrt(nx * nx + ny * ny + nz * nz)
    light = (nx * f.light_x + ny * f.light_y + nz * f.light_z) / norm
    brightness: Array = f.ambient + (1 - f.ambient) * 1.15 * np.clip(light, 0, None)
    return brightness


def _glasses(c: Canvas) -> None:
    f = c.f
    lens = (np.abs((c.mirror - f.eye_x) / (f.eye_w + 0.08))**3
            + np.abs((c.y - f.eye_y - 0.02) / 0.16)**3)
    rim = c.stroke((lens**(1 / 3) - 1) * 0.16, 0.013)
    bridge = c.stroke(c.y - f.eye_y + 0.01, 0.013) * (c.mirror < f.eye_x - f.eye_w - 0.07)
    arm = c.stroke(c.y - f.eye_y + 0.01, 0.012) * (c.mirror > f.eye_x + f.eye_w + 0.08)
    c.paint(0.10, 0.9 * f.glasses * np.maximum(np.maximum(rim, bridge), arm))
    c.paint(0.9, 0.10 * f.glasses * (lens < 1) * (c.x + c.y * 0.6 > 0.1))


def _strands(c: Canvas) -> Array:
    f = c.f
    x = c.x - 0.35 * f.parting
    fall = x / (0.4 + np.clip(c.y + 1.15, 0, 0.6))          # strands fan out from the crown
    streaks = np.sin(19 * fall + f.grain) * np.sin(43 * fall + 3 * x + 2 * f.grain)
    streaks += 0.5 * np.sin(67 * fall + 9 * c.y + 3 * f.grain)
    gleam = np.clip(1 - np.abs(c.y + 0.85) * 3, 0, 1)
    tone: Array = f.hair * (1 + 0.15 * streaks) + 0.07 * gleam
    return tone


def _hair_over(c: Canvas) -> None:
    """Hair on the forehead and at the sides, in front of the face."""
    f = c.f
    edge = (f.hairline + 0.55 * f.parting * c.x + 0.9 * f.temple * np.square(c.mirror)**1.5
            + 0.02 * np.sin(4 * c.x + f.grain) + 0.006 * np.sin(23 * c.x + 3 * f.grain)
            + 0.30 * f.fringe)
    side = f.width * (1.02 - 0.13 * f.long) - 0.10 * np.square(c.y - 0.1) - c.mirror
    side += np.clip(4 * (c.y - 0.1 - f.long), 0, 1)
    over = np.minimum(c.y - edge, side)
    c.darken(0.25 * f.has_hair * c.soft(np.clip(over, 0, None), 0.05))      # its shadow
    c.paint(_strands(c), c.fill(over) * f.has_hair)


def _behind(c: Canvas, f: SimpleNamespace, u: Array, v: Array, p: Array, q: Array) -> Array:
    """Everything behind the face: a wall, shoulders and neck, hair, ears."""
    tone: Array = f.wall * (1 + 0.12 * (u * f.light_x - v * 0.3)) + np.zeros_like(p)
    neck = c.fill(np.abs(u - f.shift_x) - 0.62 * f.width * f.zoom) * (v > 0)
    tone += neck * (f.skin * 0.42 - tone)
    shoulder = c.fill((0.86 - 0.10 * np.square(u)) + f.shift_y + 0.35 * np.square(
        np.clip(np.abs(u) - 0.5, 0, None)) - v + 0.08)
    tone += shoulder * (f.cloth - tone)
    ear = np.hypot((np.abs(p) - 1.0) / 0.13, (q - 0.02) / 0.20) - 1
    tone += c.fill(ear * 0.1) * (f.skin * 0.62 - tone)
    reach = np.where(q < 0, 1.12, 0.25 + 1.2 * f.long)
    hair = np.hypot(p / (1.09 + 0.10 * f.long), q / reach)
    cover = c.fill((hair - 1) * f.width) * f.has_hair
    tone += cover * (_strands(c) - tone)
    return tone


def _expose(picture: Array, f: SimpleNamespace, rng: np.random.Generator) -> Array:
    """The camera: exposure, contrast, a little blur and noise."""
    picture = 1.08 * np.tanh(np.clip(picture * f.exposure, 0, None))**f.gamma
    b = f.blur / 4
    for axis in (1, 2):
        edge = np.concatenate([np.take(picture, [0], axis), picture,
                               np.take(picture, [-1], axis)], axis)
        take = (slice(None),) * axis
        picture = (1 - 2 * b) * picture + b * (edge[(*take, slice(2, None))]
                                               + edge[(*take, slice(None, -2))])
    picture = picture + f.noise * rng.standard_normal(picture.shape, dtype=np.float32)
    levels: Array = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return levels
