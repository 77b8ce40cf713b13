"""Compares every activation and every gradient with PyTorch's, on equal weights and one batch.

In float32, a comparison of whole networks would depend on chance: rounding decides whether a value
near zero is positive, and which of two nearly equal values in a pooling window is larger, and then
single gradients differ entirely. In float32, therefore, each layer is compared by itself: PyTorch's
layer receives minigrad's values in the forward pass, and minigrad's gradients in the backward pass.
The judge is the same layer in float64: its values are the truth, from which minigrad's float32 may
differ by rounding only; PyTorch's float32 is measured beside it. In float64, both networks run from
end to end, and only the order of summation may differ.

Dropout is switched off: both sides would drop the same values, which shows nothing.

`recording` runs a network and records it, `measure` compares, `drift` trains both for some steps,
and `page` draws all this.
"""
