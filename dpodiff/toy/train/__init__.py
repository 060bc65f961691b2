"""The recipe that makes every weight of the toy world: `python -m dpodiff.toy.train`.

Stages, in order (each needs the ones before it): `tokenizer`, `vae`, `clip`, `judge`, `diffusion`,
`prompts`, `card`. All of them draw fresh images and captions from seeds, write checkpoints as
they go, and go on where they were stopped.
"""
