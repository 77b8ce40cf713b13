"""docs/scaling.md is true: its commands are taken, and its programs do what it says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from functools import partial
from pathlib import Path

import pytest
from processes import together
from torch.distributed.run import get_args_parser

import torch_impl.models
from comparisons.cli import parser
from comparisons.tasks.dexpression import DexpressionTask
from comparisons.tasks.mnist_mlp import MnistMlpTask

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "scaling.md").read_text("utf-8")
VARIABLES = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "17", "SKYPILOT_NUM_NODES": "2", "head": "host1",
             "SKYPILOT_NUM_GPUS_PER_NODE": "4", "SKYPILOT_TASK_ID": "17", "HOME": "/home/me"}
COMMANDS = re.findall(r"((?:torchrun|python) [^`\n|]*-m comparisons [^`\n|]+)",
                      re.sub(r" *\\\n *", " ", TEXT))


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_taken(command):
    words = shlex.split(re.sub(r"\$\w+", lambda m: VARIABLES[m[0][1:]], command))
    if words[0] == "torchrun":
        launch = get_args_parser().parse_args(words[1:])
        assert launch.module
        assert launch.training_script == "comparisons"
        words = ["python", "-m", "comparisons", *launch.training_script_args]
    assert words[:3] == ["python", "-m", "comparisons"]
    asked = parser(words[3:]).parse_args(words[3:])
    assert asked.impl == "torch" or asked.accumulate


def test_its_scripts_are_scripts():
    (script,) = re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    (sky,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    keys = re.findall(r"^(\w+):", sky, re.M)
    assert keys == ["workdir", "num_nodes", "resources", "setup", "run"]
    subprocess.run(["bash", "-n"], input=sky.partition("run: |\n")[2], text=True, check=True)
    assert len(COMMANDS) >= 10


def test_the_programs_that_measure_run():
    exchange, steps = (s.replace("range(100)", "range(60)").replace("epochs=15", "epochs=1")
                       for s in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "epoch" in s
                       or "all_reduce" in s)

    def printed(program):
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            exec(compile(program, "program.py", "exec"), {})
        return told.getvalue()
    for program, told in ((exchange, r"\d+\.\d\d ms\n"),
                          (steps, r"MLP, 2 processes: [\d.]+ ms\nCNN, 2 processes: [\d.]+ ms\n")):
        first, second = together(2, partial(printed, program))
        assert re.fullmatch(told, first)
        assert second == ""
    # the numbers of parameters that the page states
    for model in (torch_impl.models.CNN(), torch_impl.models.MLP((784, 500, 10))):
        assert f"{sum(p.numel() for p in model.parameters()):,}" in TEXT


def test_the_recipe_that_it_shows_is_one():
    (snippet,) = (s for s in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "Careful" in s)
    namespace = {"SpiralTask": MnistMlpTask}
    exec(snippet, namespace)
    task = namespace["Careful"]()
    recipe = task.recipe(task.options(), 100)
    assert (recipe.clip_norm, recipe.accumulate) == (1.0, 4)
    assert DexpressionTask.weigh is not MnistMlpTask.weigh


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
    headings = {re.sub(r"\W+", "-", title.lower()).strip("-")
                for title in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert anchor in headings
    assert os.environ.get("WORLD_SIZE") is None
