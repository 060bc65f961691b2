"""Faithfulness: a table of the statements of a prompt that its images show or miss."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpodiff.api.parts import AnyLexicon, check_lexicon, lexicon_of
from dpodiff.checks import check_prompt_text, shown

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dpodiff.losses import SphericalCLIP


@dataclass(frozen=True)
class Faithfulness:
    """The statements of a prompt, and which of them the images show.

    Attributes:
        prompt: what the images should show.
        table: one row per statement with the columns "statement", "kind", "score", "holds" and
            "instead"; see `losses.Decomposed.table`.
        probabilities: probability of each statement (row) for each image (column), from 0 to 1.
        holds: table of the same shape: whether the image fits the prompt better than each contrast
            of the statement. `plots.statements` shows both.

    Examples:
        >>> images = dpodiff.load("toy").generate(["a red ball on the sea"], [""], [0])
        >>> found = dpodiff.faithfulness(images, "a red ball on the sea")
        >>> found.table[["statement", "kind"]]
            statement       kind
        0    red ball  attribute
        1        ball     object
        2  on the sea      place
    """

    prompt: str
    table: "pd.DataFrame"
    probabilities: "pd.DataFrame"
    holds: "pd.DataFrame"

    def __str__(self) -> str:
        count = self.probabilities.shape[1]
        width = max(len(text) for text in self.table["statement"])
        rows = zip(self.table["statement"], self.table["holds"], self.table["instead"])
        lines = [f"{self.prompt!r} on {count} image{'s' * (count > 1)}, by statement:"]
        for text, holds, instead in rows:
            mark = "✓" if holds > 0.5 else "✗"
            missed = "" if holds == 1 else f"; nearest: {instead}"
            lines.append(f"  {mark} {text:<{width}}  {round(holds * count)} of {count}{missed}")
        return "\n".join(lines)


def faithfulness(
    images: "torch.Tensor",
    prompt: str,
    *,
    clip: "str | SphericalCLIP" = "toy",
    lexicon: AnyLexicon = None,
) -> Faithfulness:
    """Split a prompt into statements and check which of them the images show.

    Args:
        images: (batch, 3, height, width) in [0, 1].
        prompt: what all images should show.
        clip: CLIP that compares images and texts: a `SphericalCLIP`, or its name as in
            `losses.load`, such as "toy", "toy-heldout" or "clip:ViT-L-14/openai".
        lexicon: "toy", "wordnet", "llm", any `Lexicon` or an `LLM`. Its opposites are the
            alternatives to each word. If not given, the toy dictionary for the toy CLIPs and
            WordNet for others.

    Raises:
        LoadError: if the CLIP cannot be loaded.
        ValueError: if the images have another layout or range, or the lexicon is unknown or has no
            opposite for any word of the prompt.

    Examples:
        >>> from dpodiff.toy.render import render_batch
        >>> from dpodiff.toy.scenes import Scene, Thing
        >>> scene = Scene((Thing("ball", "blue", "large"),), background="sky")
        >>> image = torch.from_numpy(render_batch([scene], np.random.default_rng(0)))
        >>> print(dpodiff.faithfulness(image, "a red ball in the sky"))
        'a red ball in the sky' on 1 image, by statement:
          ✗ red ball    0 of 1; nearest: a blue ball in the sky
          ✓ ball        1 of 1
          ✓ in the sky  1 of 1
    """
    from dpodiff import losses
    from dpodiff.losses.base import check_images
    from dpodiff.losses.clip import PACKAGED
    from dpodiff.spaces.statements import statements

    check_images(images)
    check_prompt_text("prompt", prompt)
    check_lexicon(lexicon)
    if not isinstance(clip, str | losses.SphericalCLIP):
        raise ValueError(f"clip must be a SphericalCLIP or the name of one, not {shown(clip)}")
    name = clip if isinstance(clip, str) else clip.name
    if lexicon is None:
        lexicon = "toy" if name in PACKAGED else "wordnet"
    words = lexicon_of(prompt, lexicon, "antonym")
    said = statements(prompt, words)
    kinds = {statement.text: statement.kind for statement in said}
    groups = {s.text: [contrast.prompt for contrast in s.contrasts] for s in said}
    loaded = losses.load(clip) if isinstance(clip, str) else clip
    if not isinstance(loaded, losses.SphericalCLIP):
        raise ValueError(f"clip must be a SphericalCLIP or the name of one, not {clip!r}")
    decomposed = losses.Decomposed(loaded, lambda _: groups)
    table = decomposed.table(images, prompt)
    table.insert(1, "kind", [kinds[text] for text in table["statement"]])
    return Faithfulness(
        prompt, table, decomposed.probabilities(images, prompt), decomposed.holds(images, prompt)
    )
