"""One computation after another from the naive way to the kernel; docs/speed.md explains each step.

    convolution.py  a 3×3 convolution of 100 images
    layer_norm.py   a layer norm and its gradients
    attention.py    the attention of every token to every other
    one_item.py     a single image, and a model that is too small for its calls
    steps.py        how steps are timed, compared and printed
"""
