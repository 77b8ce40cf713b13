"""Small computations to look at, as users write them: each file has a function `loss`, and
`network` where there is one."""
