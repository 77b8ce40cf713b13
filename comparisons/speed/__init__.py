"""How fast minigrad and PyTorch are, in one process, on the same weights and batches.

    models.py       training steps of every model, with their losses and their memory
    layers.py       forward and backward of each layer, and what the machine can do (limits.py)
    scaling.py      steps as the batch grows, and as the image grows
    walk.py         one convolution from the naive loop to the kernel
    clock.py        how minigrad and PyTorch take turns
    measurement.py  the command: measures, prints, stores and draws
"""
