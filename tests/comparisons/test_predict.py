"""`predict`: what is cut out of a picture is what was put into it, and its probabilities are
PyTorch's for the same weights; what cannot be done is one line."""

from __future__ import annotations

import io
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from comparisons import cli
from comparisons.cli import main
from comparisons.datasets import digits, pictures
from comparisons.datasets.drawn.generator import CLASSES, generate
from comparisons.datasets.faces import detector
from comparisons.datasets.mnist import load_subset
from comparisons.errors import DataError, Fault
from comparisons.predict import annotate
from comparisons.predict.predictor import Predictor
from minigrad import checkpoint, manual_seed, models, optim
from torch_impl import checkpoint as torch_checkpoint, models as torch_models

DIGITS = [str(digit) for digit in range(10)]
NETWORKS = {"mnist-mlp": ("MLP", ((784, 500, 10),), (28, 28), DIGITS),
            "mnist-cnn": ("CNN", (10,), (28, 28), DIGITS),
            "dexpression": ("DeXpression", (7, 48, "compact", 1), (48, 48), CLASSES)}


def write(folder: Path, task: str, impl: str, **other: Any) -> tuple[Path, Any]:
    """A checkpoint of an untrained network as `run` leaves it, and the network."""
    name, arguments, size, classes = NETWORKS[task]
    manual_seed(1)
    torch.manual_seed(1)
    side = {"minigrad": models, "torch": torch_models}[impl]
    model = getattr(side, name)(*arguments)
    path = folder / f"{task}-{impl}" / "last.safetensors"
    config = {"task": task, "dataset": "some", "shape": [1, *size], "classes": classes,
              "options": {"size": 48, "variant": "compact"}} | other
    {"minigrad": checkpoint, "torch": torch_checkpoint}[impl].save(path, model=model, config=config)
    return path, model


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """The networks have run once: that kernels are compiled is announced, and no fault."""
    for task, (_, _, size, _) in NETWORKS.items():
        path, _ = write(tmp_path_factory.mktemp("compiled"), task, "minigrad")
        Predictor.load(path).probabilities(np.zeros((1, 1, *size), np.float32))


@pytest.fixture(scope="module")
def digit_images():
    """Test digits of MNIST, (12, 28, 28) in [0, 1]."""
    return load_subset().x_test[:12, 0]


@pytest.fixture(scope="module")
def face_images():
    """Generated faces of three persons, enlarged to 160 px, uint8."""
    return [np.asarray(Image.fromarray(face).resize((160, 160), Image.Resampling.BICUBIC))
            for face in generate(48, 0).pixels[:700:250]]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path, _ = write(tmp_path_factory.mktemp("digits"), "mnist-cnn", "minigrad")
    return path


def grey(values: Any) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def enlarged(digit: Any, side: int) -> Any:
    return np.asarray(grey(digit).resize((side, side), Image.Resampling.BICUBIC), float) / 255


def on_paper(parts: list[tuple[Any, int, int]], rng: np.random.Generator, ink: float = 0.6) -> Any:
    """Parts at (left, top), written on paper of 600×300 lit from the left, with a camera's noise.
    """
    written = np.zeros((300, 600))
    for part, left, top in parts:
        h, w = part.shape
        written[top:top + h, left:left + w] = part
    light = np.linspace(0.95, 0.5, 600) - 0.1 * np.linspace(-1, 1, 300)[:, None] ** 2
    return light * (1 - ink * written) + rng.normal(0, 0.02, written.shape)


def one_line(capsys: Any) -> str:
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    return err


# ---- digits --------------------------------------------------------------------------------------

def test_a_digit_of_the_networks_size_is_taken_as_it_is(digit_images, network):
    predictor = Predictor.load(network)
    for digit in digit_images[:5]:
        for picture in (grey(digit), grey(1 - digit)):
            (found,) = predictor(picture.convert("RGB"))
            np.testing.assert_allclose(found.crop.pixels, digit, atol=1e-6)
            assert found.crop.box == (0, 0, 28, 28)


def overlap(a: Any, b: Any) -> float:
    """Common ink over all ink, at the best of shifts by a pixel: places are rounded to pixels."""
    return max(np.minimum(moved, b).sum() / np.maximum(moved, b).sum()
               for moved in (np.roll(a, shift, (0, 1))
                             for shift in itertools.product((-1, 0, 1), repeat=2)))


@pytest.mark.parametrize("kind", ["large", "dark on light", "on paper", "chalk"])
def test_a_digit_is_cut_out_as_mnist_does(digit_images, kind):
    """What is cut out is the digit that was enlarged, and hidden: most of the ink is common, and
    with no other digit so much of it is."""
    rng = np.random.default_rng(0)
    for i, digit in enumerate(digit_images):
        large = enlarged(digit, 168)
        if kind in ("large", "dark on light"):
            picture = grey(large if kind == "large" else 1 - large)
        else:
            paper = on_paper([(large, rng.integers(20, 400), rng.integers(10, 120))], rng)
            picture = grey(paper if kind == "on paper" else 1 - paper)
        (found,) = digits.digits(picture, (28, 28))
        assert found.pixels.dtype == np.float32
        overlaps = [overlap(found.pixels, other) for other in digit_images]
        assert overlaps[i] > 0.6
        assert np.argmax(overlaps) == i
        assert np.abs(np.array(ndimage.center_of_mass(found.pixels)) - 14).max() <= 0.51
        rows, columns = np.nonzero(found.pixels)
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20


def test_digits_of_a_row_are_found_in_order_and_in_place(digit_images):
    rng = np.random.default_rng(1)
    places = [(20, 40), (160, 90), (300, 60), (440, 120)]
    parts = [(enlarged(digit, 112), left, top)
             for digit, (left, top) in zip(digit_images, places, strict=False)]
    found = digits.digits(grey(on_paper(parts, rng)), (28, 28))
    assert len(found) == 4
    for crop, (part, left, top) in zip(found, parts, strict=True):
        rows, columns = np.nonzero(part > 0.4)
        box = (left + columns.min(), top + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        np.testing.assert_allclose(crop.box, box, atol=4)


def test_a_thin_pen_is_thickened():
    picture = np.ones((300, 300))
    picture[50:250, 149:152] = 0            # a one, 3 pixels by 200
    (found,) = digits.digits(grey(picture), (28, 28))
    widths = found.pixels.sum(1)
    assert np.median(widths[widths > 0]) == pytest.approx(digits.STROKE, abs=0.5)


@pytest.mark.parametrize("noise", [0, 0.03])
def test_an_empty_sheet_has_no_digit(noise):
    rng = np.random.default_rng(2)
    assert digits.digits(grey(on_paper([], rng, noise)), (28, 28)) == []


def test_a_shadow_at_the_edge_and_specks_are_no_digits(digit_images):
    picture = on_paper([(enlarged(digit_images[0], 112), 250, 90)], np.random.default_rng(3))
    picture[:, :12] = 0.1
    picture[20:24, 500:504] = 0.1
    assert len(digits.digits(grey(picture), (28, 28))) == 1


# ---- faces ---------------------------------------------------------------------------------------

def test_faces_are_found_where_they_are(face_images):
    """Each box overlaps with the face that was put there by more than half of both together."""
    sheet = np.full((500, 900), 128, np.uint8)
    places = [(40, 30), (330, 250), (640, 120)]
    for face, (left, top) in zip(face_images, places, strict=False):
        sheet[top:top + 160, left:left + 160] = face
    found = detector.faces(Image.fromarray(sheet), (48, 48))
    assert len(found) == 3
    for crop, (left, top) in zip(found, places, strict=True):
        x, y, w, h = crop.box
        across = min(x + w, left + 160) - max(x, left)
        down = min(y + h, top + 160) - max(y, top)
        assert across > 0 < down
        assert across * down > 0.5 * (w * h + 160 * 160 - across * down)
        expected = Image.fromarray(sheet).crop((x, y, x + w, y + h)).resize(
            (48, 48), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(crop.pixels * 255, np.asarray(expected, float), atol=1.01)


def test_a_rotated_photo_is_turned_upright(face_images, tmp_path):
    sheet = np.full((300, 400), 128, np.uint8)
    sheet[70:230, 120:280] = face_images[0]
    exif = Image.Exif()
    exif[0x0112] = 6                        # shown after a quarter turn clockwise
    lying = Image.fromarray(sheet).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.jpg", exif=exif, quality=95)
    picture = pictures.read_picture(tmp_path / "lying.jpg", "lying")
    assert picture.size == (400, 300)
    assert len(detector.faces(picture, (48, 48))) == 1


def test_without_opencv_one_line_tells_how_to_get_it(face_images, tmp_path, monkeypatch, capsys):
    path, _ = write(tmp_path, "dexpression", "minigrad")
    Image.fromarray(face_images[0]).save(tmp_path / "large.png")
    Image.fromarray(face_images[0]).resize((48, 48)).save(tmp_path / "crop.png")
    monkeypatch.setitem(sys.modules, "cv2", None)
    detector._cascade.cache_clear()
    files = [str(tmp_path / "large.png"), str(tmp_path / "crop.png")]
    assert main(["predict", str(path), *files]) == 1
    line = one_line(capsys)
    assert line.startswith(f"comparisons: {files[0]}: ")
    assert "pip install" in line
    assert "--whole" in line
    assert main(["predict", str(path), "--whole", *files]) == 0
    detector._cascade.cache_clear()


# ---- pictures ------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_picture_is_read(tmp_path, mode):
    """A square, dark on light, in every mode that files come in."""
    levels = np.full((40, 60), 255, np.uint8)
    levels[10:30, 20:40] = 0
    if mode in ("I;16", "I", "F"):
        factor = {"I;16": 257, "I": 257, "F": 1 / 255}[mode]
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(levels.astype(kind) * kind(factor))
    else:
        picture = Image.fromarray(levels).convert(mode)
    path = tmp_path / ("picture.png" if mode not in ("CMYK", "F", "I") else "picture.tif")
    picture.save(path)
    read = pictures.read_picture(path, "picture")
    assert read.mode == "RGB"
    np.testing.assert_allclose(np.asarray(read.convert("L"), int), levels, atol=2)
    assert np.array_equal(read, pictures.read_picture(path.read_bytes(), "picture"))
    assert np.array_equal(read.convert("L"), pictures.read_grey(path))


def test_what_is_transparent_is_white(tmp_path):
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.putpixel((3, 3), (0, 0, 0, 255))
    picture.save(tmp_path / "ink.png")
    read = np.asarray(pictures.read_picture(tmp_path / "ink.png", "ink").convert("L"))
    assert read[3, 3] == 0
    assert read.sum() == 255 * 63


def test_unreadable_pictures_are_one_line_each(tmp_path, monkeypatch):
    grey(np.ones((50, 50))).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-40])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (("cut.png", "cut"), ("text.jpg", "not a picture"), ("none.png", "No such"),
                        ("empty.png", "not a picture"), ("", "directory")):
        with pytest.raises(Fault, match=words) as caught:
            pictures.read_picture(tmp_path / name, str(tmp_path / name))
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
        with pytest.raises(DataError) as of_data:
            pictures.read_grey(tmp_path / name)
        assert cli.one_line(of_data.value) == cli.one_line(caught.value)
    monkeypatch.setattr(pictures, "PIXELS", 2000)
    with pytest.raises(Fault, match=r"whole: more than .* million pixels"):
        pictures.read_picture(tmp_path / "whole.png", "whole")


def test_damaged_tags_are_one_line_or_nothing():
    """One wrong byte in a photo's EXIF: no warning, and no error but a Fault."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010E] = 6, 72.5, "a photo"
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG", exif=exif)
    content, told = stream.getvalue(), []
    start = content.index(b"Exif")
    for at, value in itertools.product(range(start, start + 80), (1, 16, 26)):
        try:
            pictures.read_picture(content[:at] + bytes([value]) + content[at + 1:], "photo")
        except Fault as fault:
            told.append(str(fault))
    assert told
    assert all(line.startswith("photo: ") and "\n" not in line for line in told)


# ---- checkpoints and the command -----------------------------------------------------------------

@pytest.mark.parametrize("impl", ["minigrad", "torch"])
@pytest.mark.parametrize("task", NETWORKS)
def test_probabilities_are_pytorchs(tmp_path, task, impl):
    """Whichever implementation wrote the checkpoint, as torch computes them from the same file."""
    path, _ = write(tmp_path, task, impl)
    name, arguments, size, classes = NETWORKS[task]
    reference = getattr(torch_models, name)(*arguments)
    torch_checkpoint.restore(path, model=reference)
    reference.eval()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, size, np.uint8))
    (found,) = Predictor.load(path)(picture, whole=True)
    seen = [found.crop.pixels]
    if task == "dexpression":                           # a face and its mirror image
        seen.append(found.crop.pixels[:, ::-1].copy())
    with torch.no_grad():
        logits = [reference(torch.tensor(pixels)[None, None])[0] for pixels in seen]
    expected = torch.stack(logits).double().mean(0).softmax(0)
    assert list(found.probabilities) == classes
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-5)
    assert found.best[0][0] == classes[expected.argmax()]


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
def test_averaged_weights_are_those_that_predict(tmp_path, impl):
    path, model = write(tmp_path, "mnist-cnn", impl)
    files, package = {"minigrad": (checkpoint, optim),
                      "torch": (torch_checkpoint, torch.optim)}[impl]
    averaged = package.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    for p in model.parameters():
        p.data *= 2
    kept = checkpoint.load(path)
    files.save(path, model=model, averaged=averaged, config=kept.config)
    predictor = Predictor.load(path)
    for key, value in predictor.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), kept.model[key], err_msg=key)


def test_run_leaves_what_predict_needs(tmp_path, digit_images, capsys):
    assert main(["run", "mnist-mlp", "--quick", "--impl", "torch", "--out", str(tmp_path)]) == 0
    grey(digit_images[0]).save(tmp_path / "digit.png")
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "mnist-mlp-torch" / "last.safetensors"),
                 str(tmp_path / "digit.png")]) == 0
    assert "digit.png: 1 digit\n  1  " in capsys.readouterr().out


def test_pictures_and_json_are_written_and_faults_leave_the_others(
        tmp_path, digit_images, network, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        grey(1 - enlarged(digit_images[2], 140)).save(tmp_path / folder / "digit.png")
    (tmp_path / "bad.png").write_text("no picture")
    images = [str(tmp_path / name) for name in ("a/digit.png", "bad.png", "b/digit.png")]
    out, told = tmp_path / "out", tmp_path / "out" / "told.json"
    assert main(["predict", str(network), *images, "--out", str(out), "--json", str(told)]) == 1
    assert one_line(capsys).startswith(f"comparisons: {images[1]}: not a picture")
    assert sorted(p.name for p in out.iterdir()) == [
        "digit-predicted-2.png", "digit-predicted.png", "told.json"]
    content = json.loads(told.read_text())
    assert content["schema"] == 1
    assert content["task"] == "mnist-cnn"
    assert content["classes"] == DIGITS
    first, bad, second = content["images"]
    assert [e["image"] for e in content["images"]] == images
    assert bad.keys() == {"image", "error"}
    assert first["digits"] == second["digits"]
    assert (first["width"], first["height"]) == (140, 140)
    (digit,) = first["digits"]
    assert sum(digit["probabilities"].values()) == pytest.approx(1)
    assert digit["class"] == max(digit["probabilities"], key=digit["probabilities"].get)
    x, y, w, h = digit["box"]
    assert 0 <= x < x + w <= 140
    assert 0 <= y < y + h <= 140
    assert Path(first["annotated"]) == out / "digit-predicted.png"


def test_the_drawing_shows_box_crop_and_bars(digit_images, network):
    picture = grey(np.ones((400, 500))).convert("RGB")
    picture.paste(grey(1 - enlarged(digit_images[0], 140)), (200, 150))
    predictions = Predictor.load(network)(picture)
    (prediction,) = predictions
    drawing = annotate.annotated(picture, predictions)
    x, y, w, h = prediction.crop.box
    gap, accent = annotate.GAP, (11, 110, 105)
    for corner in ((x, y + h), (x + w, y + h), (x + w, y)):
        assert drawing.getpixel((gap + corner[0], gap + corner[1])) == accent
    top = gap + picture.height + gap + annotate.LINE + 4
    seen = np.asarray(drawing.convert("L").crop((gap, top, gap + annotate.CROP,
                                                 top + annotate.CROP)).resize((28, 28), 0), float)
    np.testing.assert_allclose(seen / 255, prediction.crop.pixels, atol=0.01)
    left = gap + annotate.CROP + annotate.NAME
    bars = np.asarray(drawing)[top + 9:top + 180:18, left:left + annotate.BAR] == accent
    np.testing.assert_allclose(bars.all(-1).sum(1) / annotate.BAR,
                               list(prediction.probabilities.values()), atol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4000), (1000, 2)])
def test_odd_pictures_are_no_trouble(network, tmp_path, shape):
    grey(np.ones(shape)).save(tmp_path / "odd.png")
    arguments = ["predict", str(network), str(tmp_path / "odd.png"), "--out", str(tmp_path / "o")]
    assert main(arguments) == 1
    assert main([*arguments, "--whole"]) == 0


def test_wrong_checkpoints_are_one_line(tmp_path, network, capsys):
    picture = str(tmp_path / "picture.png")
    grey(np.ones((28, 28))).save(picture)
    (tmp_path / "text.safetensors").write_text("nothing")
    whole = checkpoint.load(network)
    cases = {"text.safetensors": "not a safetensors file", "none.safetensors": "no such file"}
    for name, config, words in (
            ("regression", whole.config | {"task": "regression"}, "regression reads no pictures"),
            ("unnamed", None, "names no task"),
            ("old", {k: v for k, v in whole.config.items() if k != "classes"}, "classes"),
            ("other", whole.config | {"task": "mnist-mlp"}, "does not fit this model")):
        path = tmp_path / f"{name}.safetensors"
        checkpoint.write(checkpoint.Checkpoint(path, whole.model, config=config))
        cases[path.name] = words
    for name, words in cases.items():
        assert main(["predict", str(tmp_path / name), picture]) == 1
        line = one_line(capsys)
        assert line.startswith(f"comparisons: {tmp_path / name}: ")
        assert words in line


def test_usage_errors_are_two(network, capsys):
    assert main(["predict"]) == 2
    one_line(capsys)
    assert main(["predict", str(network)]) == 2
    one_line(capsys)


def test_an_output_that_cannot_be_written_is_one_line(tmp_path, network, capsys):
    (tmp_path / "file").write_text("kept")
    grey(np.ones((28, 28))).save(tmp_path / "picture.png")
    assert main(["predict", str(network), str(tmp_path / "picture.png"),
                 "--out", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in one_line(capsys)
    assert (tmp_path / "file").read_text() == "kept"
