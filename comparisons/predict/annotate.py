"""A picture with its predictions: numbered boxes, and below it each crop with its probabilities."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from comparisons.predict.prediction import Prediction

PAPER, INK, FAINT, RULE, ACCENT = "#fdfcfa", "#22211f", "#77736b", "#e4e0d8", "#0b6e69"
SHOWN = (320, 900)                      # the picture's longer side, at least and at most
CROP, NAME, BAR, NUMBER, LINE, GAP = 112, 84, 130, 46, 18, 20       # pixels
PANEL = CROP + NAME + BAR + NUMBER


def png(picture: Image.Image, predictions: Sequence[Prediction]) -> bytes:
    """The annotated picture, as the bytes of a PNG."""
    stream = io.BytesIO()
    annotated(picture, predictions).save(stream, "PNG")
    return stream.getvalue()


def annotated(picture: Image.Image, predictions: Sequence[Prediction]) -> Image.Image:
    """The picture on top, and below it a panel for each prediction, in as many columns as fit."""
    least, most = (n / max(picture.size) for n in SHOWN)
    scale = min(max(1.0, least), most)
    shown = picture.resize([max(1, round(n * scale)) for n in picture.size])
    columns = max(1, min(len(predictions), (shown.width + GAP) // (PANEL + GAP)))
    height = LINE + max(CROP, LINE * len(predictions[0].probabilities)) + GAP
    width = max(shown.width, columns * (PANEL + GAP) - GAP)
    top = GAP + shown.height + GAP
    sheet = Image.new("RGB", (GAP + width + GAP,
                              top + height * math.ceil(len(predictions) / columns)), PAPER)
    sheet.paste(shown, (GAP, GAP))
    draw = ImageDraw.Draw(sheet)
    for i, prediction in enumerate(predictions):
        box(draw, prediction, i + 1, scale)
        row, column = divmod(i, columns)
        panel(sheet, draw, prediction, i + 1, GAP + column * (PANEL + GAP), top + row * height)
    return sheet


def box(draw: ImageDraw.ImageDraw, prediction: Prediction, number: int, scale: float) -> None:
    """A numbered box around what was found, with the likeliest class."""
    x, y, w, h = (n * scale for n in prediction.crop.box)
    corners = (GAP + x, GAP + y, GAP + x + w, GAP + y + h)
    draw.rectangle(corners, outline="white", width=4)
    draw.rectangle(corners, outline=ACCENT, width=2)
    label = f" {number}: {prediction.answer} "
    width = draw.textlength(label, font(14))
    at = (GAP + x, max(0, GAP + y - LINE))          # above the box, or at the top of the sheet
    draw.rectangle((*at, at[0] + width, at[1] + LINE), fill=ACCENT)
    draw.text((at[0], at[1] + LINE / 2), label, "white", font(14), anchor="lm")


def panel(sheet: Image.Image, draw: ImageDraw.ImageDraw, prediction: Prediction, number: int,
          x: int, y: int) -> None:
    """What the network saw, and a bar for the probability of each class."""
    name, p = prediction.best[0]
    unsure = "" if prediction.answer == name else f"{prediction.answer}: "
    draw.text((x, y + LINE / 2 - 2), f"{number}: {unsure}{name} {p:.1%}", INK, font(15),
              anchor="lm")
    y += LINE + 4
    seen = Image.fromarray((np.clip(prediction.crop.pixels, 0, 1) * 255).astype(np.uint8))
    sheet.paste(seen.resize((CROP, CROP), Image.Resampling.NEAREST), (x, y))
    x += CROP
    for i, (name, p) in enumerate(prediction.probabilities.items()):
        middle = y + LINE * i + LINE / 2
        draw.text((x + NAME - 8, middle), name, FAINT, font(12), anchor="rm")
        draw.rectangle((x + NAME, middle - 5, x + NAME + BAR, middle + 5), fill=RULE)
        if p * BAR >= 0.5:
            draw.rectangle((x + NAME, middle - 5, x + NAME + p * BAR, middle + 5), fill=ACCENT)
        draw.text((x + NAME + BAR + 6, middle), f"{p:.1%}", INK, font(12), anchor="lm")


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
