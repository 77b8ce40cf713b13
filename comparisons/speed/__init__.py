"""How fast minigrad is beside PyTorch, in one process, on the same weights and batches.

    models.py       training steps of every model, their losses and their memory
    layers.py       forward and backward of each layer, beside what the machine can do (limits.py)
    scaling.py      steps as the batch grows, and the image
    walk.py         one convolution from the naive loop to the kernel
    clock.py        how the sides take turns
    measurement.py  all of it, printed, kept and drawn
"""
