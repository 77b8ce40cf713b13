"""Maps of what a network looked at: against PyTorch, by planted evidence, by random weights."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

import minigrad as mg
from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.report import gallery, saliency
from comparisons.report.templating import TEMPLATES
from comparisons.tasks.task import Split, Trained
from minigrad import models, nn
from torch_impl import models as torch_models

SIZE = 48
MACROS: Any = TEMPLATES.get_template("gallery.html").module


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A quick run in PyTorch, two folds: its page and its details."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", "dexpression", "--impl", "torch", "--quick", "--folds", "2",
                 "--out", str(folder)]) == 0
    return ((folder / "report.html").read_text(),
            json.loads((folder / "dexpression-torch" / "details.json").read_text()))


def images(rng, n=3, size=SIZE):
    return rng.uniform(0, 1, (n, 1, size, size)).astype(np.float32)


class Corner(nn.Module):
    """Knows two classes by the upper left quarter alone: the logit of class 1 is its sum."""

    def forward(self, x):
        corner = x[:, 0, :SIZE // 4, :SIZE // 4].sum((1, 2)).unsqueeze(1)
        return mg.cat([mg.zeros(len(x), 1), corner], 1)


@pytest.mark.parametrize("variant", ["paper", "compact"])
def test_grad_cam_is_what_pytorch_computes(variant, rng):
    """Selvaraju's two equations in PyTorch, on the same weights, with hooks of its own."""
    theirs = torch_models.DeXpression(7, SIZE, variant).double().eval()
    ours = models.DeXpression(7, SIZE, variant).double()
    ours.load_state_dict({k: mg.Tensor(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    x, classes = images(rng).astype(np.float64), np.array([0, 6, 3])
    seen = []
    theirs.features[-2].register_forward_hook(lambda m, args, out: seen.append(out))
    logits = theirs(torch.from_numpy(x))
    (g,) = torch.autograd.grad(logits[range(3), classes].sum(), seen[0])
    expected = (g.mean((2, 3), keepdim=True) * seen[0]).sum(1)
    got = saliency.grad_cam(ours, saliency.last_map(ours), x, classes)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert not saliency.last_map(ours)._forward_hooks, "the hook was left"


def test_occlusion_finds_the_only_place_that_counts(rng):
    """Covering a quarter that decides all gives exactly the loss of its sum; nothing elsewhere."""
    x = images(rng)
    x[:, :, :SIZE // 4, :SIZE // 4] += 1
    drop = saliency.occlusion(Corner(), x, np.ones(3, int))
    assert drop.shape == (3, saliency.GRID, saliency.GRID)
    # place 1 of 12 is centred on pixel 6: its square of 12 pixels is the quarter itself
    quarter, mean = x[:, 0, :12, :12].astype(np.float64), x.mean((1, 2, 3))
    np.testing.assert_allclose(drop[:, 1, 1], quarter.sum((1, 2)) - 144 * mean, rtol=1e-4)
    assert np.all(drop[:, 5:] == 0)
    assert np.all(drop[:, :, 5:] == 0)
    for_other = saliency.occlusion(Corner(), x, np.zeros(3, int))
    np.testing.assert_allclose(for_other, -drop, rtol=1e-4, atol=1e-4)


def test_log_odds_are_those_of_the_probability(rng):
    logits, classes = rng.normal(0, 3, (20, 7)), rng.integers(0, 7, 20)
    p = np.exp(logits)[range(20), classes] / np.exp(logits).sum(1)
    np.testing.assert_allclose(saliency.log_odds(logits, classes), np.log(p / (1 - p)))
    sure = saliency.log_odds(np.array([[800.0, 0.0]], np.float32), np.array([0]))
    np.testing.assert_allclose(sure, [800])


def test_rank_correlation_is_scipys_spearman(rng):
    a, b = rng.integers(0, 9, (2, 5, 6, 6)).astype(float)       # with ties
    expected = [spearmanr(p.ravel(), q.ravel()).statistic for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(saliency.rank_correlation(a, b), expected)
    np.testing.assert_allclose(saliency.rank_correlation(a, np.exp(a)), 1)
    assert np.all(saliency.rank_correlation(a, np.ones_like(a)) == 0)


def test_the_sanity_check_passes_maps_of_what_was_learned_and_fails_maps_of_edges(rng):
    """A map of edges is the same for every network; so is any map of a copy of the network."""
    mg.manual_seed(1)
    trained, *random = (models.DeXpression(7, SIZE, "compact") for _ in range(4))
    x, classes = images(rng, 8), np.arange(8) % 7

    def cam(model):
        return saliency.grad_cam(model, saliency.last_map(model), x, classes)

    def edges(model):
        return np.hypot(*np.gradient(x[:, 0], axis=(1, 2)))

    assert max(map(abs, saliency.sanity(cam, trained, random))) < gallery.LIKE_RANDOM
    np.testing.assert_allclose(saliency.sanity(edges, trained, random), 1)
    np.testing.assert_allclose(saliency.sanity(cam, trained, [trained]), 1)


@pytest.mark.parametrize(("found", "verdict"), [([0.1, -0.2, 0.0], "depends on what was learned"),
                                                ([0.9, 0.1, 0.2], "do not rely on it"),
                                                ([-0.7, 0.0, 0.1], "do not rely on it")])
def test_the_page_says_what_the_sanity_check_found(found, verdict):
    page = MACROS.sanity(gallery.sanity({"torch": {"sanity": {"grad_cam": found}}}))
    assert verdict in page
    assert f"{np.mean(found):+.2f}".replace("-", "−") in page


def test_the_surest_readings_of_each_class_are_chosen_from_the_training_that_made_them():
    def trained(truth, logits):
        y = np.array(truth)
        x = np.zeros((len(y), 1, 2, 2))
        rows = np.arange(len(y))
        return Trained(Split(x, y, x, y, rows, rows), {}, np.array(logits, float))
    folds = [trained([0, 0, 1], [[2, 0], [0, 1], [0, 1]]),
             trained([0, 1, 0], [[3, 0], [0, 2], [0, 4]])]
    # class 0: right 2 and 3, wrong 1 and 4; class 1: right 1 and 2, never wrong
    assert saliency.chosen(folds, 2) == [(1, [0, 2, 1])]


def test_the_contact_sheet_shows_each_person_of_a_class_once():
    x = np.linspace(0, 1, 40)[:, None, None, None] * np.ones((1, 4, 4), np.float32)
    y, subjects = np.repeat([0, 1], 20), np.tile(np.repeat(np.arange(5), 4), 2)
    data = Data("some", "some", x, y, classes=["a", "b"], subjects=subjects)
    sheet = saliency.contact_sheet(data)
    assert [(row["class"], row["count"]) for row in sheet] == [("a", 20), ("b", 20)]
    levels = [int(decoded(p)[0, 0]) for p in sheet[1]["png"]]
    assert levels == [int(x[20 + 4 * k, 0, 0, 0] * 255) for k in range(5)]
    many = saliency.contact_sheet(Data("some", "some", x, y, x, y, ["a", "b"]))
    assert [len(row["png"]) for row in many] == [saliency.SHEET] * 2
    assert [row["count"] for row in many] == [40, 40]


def test_an_overlay_colors_for_and_against_and_leaves_the_rest_grey():
    """In which of the four quarters the map is positive, and in which negative."""
    png = saliency.png(np.full((48, 48), 0.5))
    picture = decoded(gallery.overlay(png, [[1, 0], [0, -1]], most=1.0)).astype(int)
    assert picture.shape == (96, 96, 3)
    warm = picture[..., 0] - picture[..., 2]
    assert warm[:16, :16].min() > 100
    assert warm[-16:, -16:].max() < -50
    assert np.abs(warm[:8, -8:]).max() < 10
    small = decoded(gallery.overlay(png, [[1, 0], [0, -1]], most=10.0)).astype(int)
    assert (small[..., 0] - small[..., 2]).max() < warm.max() / 5


def test_a_run_shows_maps_of_either_implementation_and_says_whose_pictures_they_are(finished):
    page, details = finished
    for example in details["examples"]:
        assert np.shape(example["grad_cam"]) == (6, 6)
        assert np.shape(example["occlusion"]) == (saliency.GRID, saliency.GRID)
    assert set(details["sanity"]) == {"grad_cam", "occlusion"}
    assert page.count('class="trio"') == len(details["examples"])
    assert page.count('<div class="strip">') == 7
    assert "What PyTorch looked at" in page
    assert "must not be passed" not in page
    own = gallery.contact_sheet(details, "ck+")
    assert own is not None
    assert own.private
    assert "must not be passed on" in MACROS.contact_sheet(own)


def test_each_class_and_each_split_has_its_figure(finished):
    page, details = finished
    for name, count in zip(details["classes"], details["per_class"]["count"], strict=True):
        assert f">{name}, {count}<" in page
    assert 'aria-label="dexpression: accuracy of each split"' in page
    assert page.count("bootstrap over persons") == 1


def test_two_tasks_of_one_dataset_show_its_contact_sheet_once(tmp_path):
    assert main(["run", "mnist-mlp", "mnist-cnn", "--impl", "minigrad", "--quick",
                 "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count('<div class="sheet">') == 1
    assert page.count('<div class="maps">') == 1        # a perceptron's layers have no places


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
