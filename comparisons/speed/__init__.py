"""How fast minigrad is beside PyTorch and JAX, in one process, on the same weights and batches.

    models.py       training steps of every model, with their losses and their memory
    zoo.py          training steps and predictions of usual networks (networks.py)
    against_jax.py  training steps in JAX (jax_models.py)
    ops.py          each function (functions.py) forward and backward, at three sizes
    layers.py       forward and backward of each layer, and what the machine can do (limits.py)
    scaling.py      steps as the batch grows, and as the image grows
    walk.py         one convolution from the naive loop to the kernel
    clock.py        how the sides of a comparison take turns
    measurement.py  the command: measures, prints, stores and draws (plots.py, dots.py)
"""
