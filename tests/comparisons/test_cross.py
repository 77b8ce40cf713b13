"""`cross`: a network is tested on faces of another source, whose persons it cannot know."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from comparisons.cli import main
from comparisons.datasets.drawn.writer import write_faces
from comparisons.datasets.faces.reader import load_faces
from comparisons.datasets.levels import inputs
from comparisons.errors import Fault
from comparisons.predict import cross
from minigrad import checkpoint, models, no_grad, tensor


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A network that was trained on the generated faces of the quick run, for a moment."""
    out = tmp_path_factory.mktemp("drawn")
    assert main(["run", "dexpression", "--quick", "--size", "16", "--impl", "minigrad", "--casts",
                 "1", "--out", str(out)]) == 0
    return out / "dexpression-minigrad" / "last.safetensors"


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Files of other faces, in the layout of CK+48."""
    out = tmp_path_factory.mktemp("others") / "faces"
    write_faces(out, size=16, seed=5)
    return out


def renamed(path, out, **config):
    """The checkpoint with another configuration."""
    kept = checkpoint.load(path)
    checkpoint.write(replace(kept, path=out, config=dict(kept.config) | config))
    return out


def test_all_faces_are_tested_once_as_images_and_mirror_images(drawn, others, tmp_path):
    path = renamed(drawn, tmp_path / "a.safetensors", dataset="elsewhere")
    data, before, metrics, details = cross.judged(path, others)
    assert before == "elsewhere"
    known = load_faces(others, 16)
    pixels = inputs(known.x)
    model = models.DeXpression(7, 16, "compact")
    kept = checkpoint.load(path)
    checkpoint.put(replace(kept, model=kept.weights), model=model)
    model.eval()
    with no_grad():
        logits = sum(model(tensor(np.ascontiguousarray(x))).numpy()
                     for x in (pixels, pixels[..., ::-1]))
    assert metrics["test_accuracy"] == pytest.approx(np.mean(logits.argmax(1) == known.y))
    assert details["rows"] == list(range(981))
    assert metrics["person_overlap"] == 0
    assert metrics["test_accuracy_low"] < metrics["test_accuracy"] < metrics["test_accuracy_high"]
    np.testing.assert_array_equal(data.y, known.y)


def test_the_command_prints_the_result(drawn, tmp_path, capsys):
    path = renamed(drawn, tmp_path / "a.safetensors", dataset="elsewhere")
    assert main(["cross", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: trained on elsewhere"
    assert lines[1].startswith("faces-generated: faces generated with seed 0: 981 images of 16 px")
    assert re.fullmatch(r"accuracy \d+\.\d\d%, balanced accuracy \d+\.\d\d%", lines[2])


def test_what_would_be_no_test_is_refused(drawn, others, tmp_path, capsys):
    with pytest.raises(Fault, match="was trained on faces-generated, and so may know the persons"):
        cross.judged(drawn, None)
    path = renamed(drawn, tmp_path / "a.safetensors", dataset="elsewhere",
                   classes=["a", "b", "c", "d", "e", "f", "g"])
    with pytest.raises(Fault, match=r"has the classes a, b, c, d, e, f, g, but .* has anger"):
        cross.judged(path, others)
    path = renamed(drawn, tmp_path / "b.safetensors", task="mnist-cnn")
    assert main(["cross", str(path)]) == 1
    assert "is a checkpoint of mnist-cnn; expected one of dexpression" in capsys.readouterr().err
    assert main(["cross", str(drawn), "--data", str(tmp_path / "no")]) == 1
