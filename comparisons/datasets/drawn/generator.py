"""People who do not exist, and their expressions: a substitute for CK+ that may be redistributed.

The design follows CK+ (Lucey et al. 2010): 118 persons and 327 recordings, each from a neutral face
to the apex of an expression, of which the last three frames are used. Each class has as many
recordings as in CK+.

FACS, the Facial Action Coding System (Ekman and Friesen), describes a face by action units: the
movements that its muscles can make. An expression is a set of action units, chosen by CK+'s own
criteria. They act with random strength on a face that has its own shape and its own habits at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from comparisons.datasets.base import Array
from comparisons.datasets.drawn.renderer import render

CLIPS = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28,
         "surprise": 83}
CLASSES = list(CLIPS)
PERSONS = 118
FRAMES = (0.75, 0.9, 1.0)        # how far towards the apex the three frames are

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27)
"""Action units by their numbers in FACS: 1 inner and 2 outer brow raised, 4 brows lowered, 5 upper
lids raised, 6 cheeks raised, 7 lids tightened, 9 nose wrinkled, 10 upper lip raised, 11 nasolabial
fold deepened, 12 lip corners pulled, 14 dimple, 15 lip corners depressed, 16 lower lip depressed,
17 chin raised, 20 lips stretched, 23 lips tightened, 24 lips pressed, 25 lips parted, 26 jaw
dropped, 27 mouth stretched."""

Recipe = list[tuple[float, dict[int, float]]]
"""Variants of an expression: (how often, {action unit: the probability that it takes part})."""

RECIPES: dict[str, Recipe] = {
    "anger": [(1.0, {23: 1.0, 24: 1.0, 4: 1.0, 7: 0.9, 5: 0.15, 17: 0.8, 15: 0.3})],
    "contempt": [(1.0, {14: 1.0, 12: 0.3})],
    "disgust": [(0.6, {9: 1.0, 4: 0.5, 7: 0.5, 6: 0.4, 17: 0.7, 15: 0.4, 24: 0.4, 23: 0.2,
                       25: 0.1}),
                (0.2, {10: 1.0, 4: 0.4, 7: 0.6, 16: 0.3, 17: 0.3, 25: 0.6}),
                (0.2, {9: 1.0, 10: 1.0, 6: 0.4, 7: 0.4, 25: 0.5, 16: 0.3})],
    "fear": [(1.0, {1: 1.0, 2: 1.0, 4: 1.0, 5: 0.9, 20: 0.75, 25: 0.85, 26: 0.4, 15: 0.2})],
    "happy": [(1.0, {12: 1.0, 6: 1.0, 25: 0.75, 26: 0.2, 7: 0.2})],
    "sadness": [(0.85, {1: 1.0, 4: 1.0, 15: 1.0, 17: 0.8, 24: 0.25}),
                (0.15, {1: 1.0, 4: 0.8, 11: 1.0, 17: 0.6, 15: 0.6, 20: 0.2})],
    "surprise": [(0.85, {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.9, 26: 0.6, 27: 0.5}),
                 (0.15, {5: 1.0, 1: 0.4, 2: 0.4, 25: 0.9, 26: 0.7, 27: 0.4})],
}
LIPS_AND_JAW = (12, 15, 16, 17, 20, 23, 24, 25, 26, 27)
LIPS_STRENGTH = (0.15, 0.9)
"""FACS scores a unit from a trace to its maximum, and CK+'s criteria ask only that it takes part,
not how strongly: some people smile mostly with their eyes. So the mouth alone does not reveal
the expression, and neither do the brows, which several expressions share."""


@dataclass(frozen=True)
class Faces:
    """pixels (N, size, size) uint8; the label, person and recording of each image, (N,)."""

    pixels: Array
    labels: Array
    subjects: Array
    clips: Array


def generate(size: int = 48, seed: int = 0, frames: Sequence[float] = FRAMES) -> Faces:
    """Draw 327 recordings in the order of persons; by default three frames each, so 981 images.

    size: height and width in pixels, at least 16. The same seed gives the same persons and the same
    expressions at every size. frames: how far each frame of a recording is from neutral (0) to the
    apex (1).
    Raises: ValueError if size is below 16.
    """
    if size < 16:
        raise ValueError(f"generate: size must be at least 16 pixels; got {size}")
    cast, play, camera, grain = (np.random.default_rng((seed, k)) for k in range(1, 5))
    person, label = _casting(cast)
    traits, habits = people(PERSONS, cast)
    apex = np.stack([_expression(CLASSES[k], play) for k in label])         # (327, units, 2)
    scene = scenes(len(label), camera)
    number = np.array([np.sum(person[:k] == person[k]) + 1 for k in range(len(label))])
    clip = np.repeat(np.arange(len(label)), len(frames))
    stage = np.tile(frames, len(label)) + 0.03 * play.standard_normal(len(clip))
    units = np.clip(apex[clip] * stage[:, None, None] + habits[person[clip]], 0, 1)
    faces = {name: values[person[clip]] for name, values in traits.items()}
    faces |= {name: values[clip] for name, values in scene.items()}
    for name, spread in (("yaw", 0.02), ("pitch", 0.02), ("roll", 0.01), ("shift_x", 0.012),
                         ("shift_y", 0.012)):
        faces[name] = faces[name] + spread * camera.standard_normal(len(clip))
    pixels = render(faces, {u: units[:, k] for k, u in enumerate(UNITS)}, size, grain)
    subjects = np.array([f"S{p + 1:03}" for p in person])
    clips = np.array([f"{s}_{k:03}" for s, k in zip(subjects, number, strict=True)])
    return Faces(pixels, label[clip].astype(np.int64), subjects[clip], clips[clip])


def nuisances(seed: int = 0) -> tuple[Array, Array, Array]:
    """The nuisances: everything that differs between recordings but must not reveal the expression.

    These are the person, the light and the pose.
    Shapes: the numbers that `generate` draws them from (327, factors), label and person (327,).
    """
    cast, _, camera, _ = (np.random.default_rng((seed, k)) for k in range(1, 5))
    person, label = _casting(cast)
    traits, habits = people(PERSONS, cast)
    scene = scenes(len(label), camera)
    columns = [*(values[person] for values in traits.values()), *scene.values(),
               *habits[person].reshape(len(person), -1).T]
    return np.stack(columns, 1), label, person


def _casting(rng: np.random.Generator) -> tuple[Array, Array]:
    """Who plays which expression, (327,) each: everybody at least one, and none of them twice."""
    labels = rng.permutation(np.repeat(np.arange(len(CLIPS)), list(CLIPS.values())))
    plays = np.zeros((PERSONS, len(CLIPS)), bool)
    plays[rng.permutation(PERSONS), labels[:PERSONS]] = True
    zeal = rng.gamma(3.0, size=PERSONS)                 # some are recorded more often
    for k in labels[PERSONS:]:
        chance = zeal * ~plays[:, k]
        plays[rng.choice(PERSONS, p=chance / chance.sum()), k] = True
    person, label = np.nonzero(plays)
    return person, label


def people(n: int, rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
    """Identities: shapes and tones, (n,) each, and habits, the action units of a face at rest."""
    uniform, often = _drawing(n, rng)
    light = rng.beta(2.2, 1.4, n)
    hair = np.where(often(0.25), uniform(0.35, 0.62), uniform(0.04, 0.25))
    bearded, bald = often(0.14), often(0.05)
    traits = {
        "width": uniform(0.74, 0.90), "top": uniform(1.02, 1.16), "bottom": uniform(0.96, 1.10),
        "jaw_taper": uniform(0.02, 0.14), "skin": 0.36 + 0.44 * light, "skin_light": light,
        "blotchy": uniform(0.2, 1), "age": rng.beta(1.3, 2.5, n), "grain": uniform(0, 6.28),
        "eye_x": uniform(0.31, 0.39), "eye_y": uniform(-0.23, -0.16),
        "eye_w": uniform(0.135, 0.175), "eye_h": uniform(0.055, 0.080),
        "eye_tilt": uniform(-0.010, 0.022),
        "iris": uniform(0.058, 0.072), "iris_tone": uniform(0.08, 0.40), "lash": uniform(0.4, 1),
        "crease": uniform(0.035, 0.065), "brow_y": uniform(-0.46, -0.37),
        "brow_w": uniform(0.19, 0.25), "brow_thick": uniform(0.018, 0.045),
        "brow_arch": uniform(0.01, 0.09), "brow_tilt": uniform(-0.025, 0.03),
        "brow_dark": uniform(0.6, 1.0), "nose_w": uniform(0.125, 0.180),
        "nose_y": uniform(0.15, 0.24), "mouth_y": uniform(0.48, 0.57),
        "mouth_w": uniform(0.25, 0.33), "lip_top": uniform(0.035, 0.070),
        "lip_low": uniform(0.045, 0.085), "lip_tone": uniform(0.60, 0.88),
        "mouth_lift": uniform(-0.02, 0.02), "hair": hair, "hairline": uniform(-0.95, -0.70),
        "parting": uniform(-0.35, 0.35), "temple": uniform(0.2, 0.9),
        "fringe": often(0.22) * uniform(0.3, 0.9), "long": often(0.45) * uniform(0.4, 1),
        "has_hair": 1.0 - bald, "beard": bearded * uniform(0.2, 0.7),
        "moustache": (bearded | often(0.05)) * uniform(0.2, 0.7), "glasses": often(0.10) * 1.0,
        "cloth": uniform(0.1, 0.8),
    }
    habits = 0.20 * rng.beta(1, 3, (n, len(UNITS), 1)) * (rng.random((n, len(UNITS), 1)) < 0.4)
    habits[:, [UNITS.index(u) for u in (25, 26, 27)]] *= 0.3        # at rest, a mouth is shut
    return traits, habits * rng.uniform(0.8, 1.2, (n, len(UNITS), 2))


def scenes(n: int, rng: np.random.Generator) -> dict[str, Array]:
    """What differs from recording to recording: pose, framing, light and camera, (n,) each."""
    uniform, _ = _drawing(n, rng)
    around, above = uniform(-0.7, 0.7), uniform(-0.9, -0.1)
    light = np.stack([np.sin(around), np.sin(above), np.full(n, 0.9)])
    light /= np.linalg.norm(light, axis=0)
    return {
        "yaw": 0.11 * rng.standard_normal(n), "pitch": 0.07 * rng.standard_normal(n),
        "roll": 0.05 * rng.standard_normal(n), "shift_x": 0.03 * rng.standard_normal(n),
        "shift_y": 0.03 * rng.standard_normal(n) + 0.02, "zoom": uniform(1.02, 1.16),
        "light_x": light[0], "light_y": light[1], "light_z": light[2],
        "ambient": uniform(0.45, 0.7), "exposure": uniform(0.85, 1.2), "gamma": uniform(0.8, 1.25),
        "blur": uniform(0, 1), "noise": uniform(0.004, 0.018), "wall": uniform(0.1, 0.85),
        "gaze_x": 0.012 * rng.standard_normal(n), "gaze_y": 0.006 * rng.standard_normal(n),
        "blink": 0.35 * rng.beta(1, 6, n),
    }


def _expression(name: str, rng: np.random.Generator) -> Array:
    """Action units at the apex, for the left and the right half of the picture: (units, 2)."""
    variants = RECIPES[name]
    part = variants[rng.choice(len(variants), p=[chance for chance, _ in variants])][1]
    upper, lower = rng.uniform(0.85, 1.0), rng.uniform(*LIPS_STRENGTH)
    apex = np.zeros((len(UNITS), 2))
    for k, unit in enumerate(UNITS):
        overall = lower if unit in LIPS_AND_JAW else upper
        strength = np.clip(overall * rng.uniform(0.85, 1.2), 0, 1)
        idle = 0.35 * rng.random() * (rng.random() < 0.06)
        lopsided = rng.uniform(0.85, 1.15, 2)
        takes_part = rng.random() < part.get(unit, 0)
        apex[k] = (strength if takes_part else idle) * lopsided
    if name == "contempt":                      # mostly one half of the face only
        weak = rng.integers(2)
        apex[[UNITS.index(12), UNITS.index(14)], weak] *= rng.choice([0.05, 0.6], p=[0.9, 0.1])
    return apex


def _drawing(n: int, rng: np.random.Generator) -> tuple[Callable[[float, float], Array],
                                                        Callable[[float], Array]]:
    return lambda low, high: rng.uniform(low, high, n), lambda chance: rng.random(n) < chance
