"""The speed record: seconds of training on a CPU until 99% of MNIST's test digits are read right.

`recipe.py` is what is trained, and how; `record.py` trains it with several seeds and says whether
the claim holds. `simplechains.py` repeats two tasks that others have published. `step.py` is the
training step that all of them time.
"""
