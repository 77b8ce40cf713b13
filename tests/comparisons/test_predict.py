"""`predict`: its probabilities equal PyTorch's for the same weights, and a failure is one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import one_line
from untrained import DIGITS, NETWORKS, enlarged, grey, write

from comparisons.cli import main
from comparisons.datasets import pictures
from comparisons.datasets.drawn.generator import generate
from comparisons.datasets.faces import detector
from comparisons.predict import annotate
from comparisons.predict.predictor import Predictor
from minigrad import checkpoint, optim
from torch_impl import checkpoint as torch_checkpoint, models as torch_models


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """Run each network once: stderr announces that kernels are compiled, which is no fault."""
    for task, (_, _, size, _) in NETWORKS.items():
        path, _ = write(tmp_path_factory.mktemp("compiled"), task, "minigrad")
        Predictor.load(path).probabilities(np.zeros((1, 1, *size), np.float32))


@pytest.fixture(scope="module")
def face_images():
    """Generated faces of three persons, enlarged to 160 px, uint8."""
    return [np.asarray(Image.fromarray(face).resize((160, 160), Image.Resampling.BICUBIC))
            for face in generate(48, 0).pixels[:700:250]]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path, _ = write(tmp_path_factory.mktemp("digits"), "mnist-cnn", "minigrad")
    return path


# ---- faces ---------------------------------------------------------------------------------------

def test_faces_are_found_where_they_are(face_images):
    """Each box shares more than half of its union with the face that was put there."""
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


# ---- checkpoints and the command -----------------------------------------------------------------

def test_a_digit_of_the_networks_size_is_taken_as_it_is(digit_images, network):
    predictor = Predictor.load(network)
    for digit in digit_images[:5]:
        for picture in (grey(digit), grey(1 - digit)):
            (found,) = predictor(picture.convert("RGB"))
            np.testing.assert_allclose(found.crop.pixels, digit, atol=1e-6)
            assert found.crop.box == (0, 0, 28, 28)


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
@pytest.mark.parametrize("task", NETWORKS)
def test_probabilities_are_pytorchs(tmp_path, task, impl):
    """They equal what torch computes from the same file, whichever implementation wrote it."""
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


def test_a_drawing_takes_the_place_of_no_picture(tmp_path, digit_images, network):
    images = [tmp_path / "digit.png", tmp_path / "digit-predicted.png"]
    for image in images:
        grey(1 - enlarged(digit_images[2], 140)).save(image)
    before = [image.read_bytes() for image in images]
    assert main(["predict", str(network), *map(str, images), "--out", str(tmp_path)]) == 0
    assert [image.read_bytes() for image in images] == before
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "digit.png", "digit-predicted.png", "digit-predicted-2.png",
        "digit-predicted-predicted.png"}


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
    before = len(list(tmp_path.iterdir()))
    assert main(["predict", str(network), str(tmp_path / "picture.png"), "--json",
                 str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err == f"comparisons: {tmp_path}: is a folder\n"
    assert "1 digit" not in said.out                # it is known before anything is predicted
    assert len(list(tmp_path.iterdir())) == before
