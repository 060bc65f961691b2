"""The training of all weights of the toy world: `python -m dpodiff.toy.train`.

The stages in order (each needs the ones before it) are `tokenizer`, `vae`, `clip`, `judge`,
`diffusion`, `prompts`, `card`. All of them draw new images and captions from seeds, write
checkpoints, and continue after an interruption.
"""
