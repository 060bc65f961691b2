"""The toy world's own Stable Diffusion, shipped with the package.

It is a stock model in a stock folder; only its vocabulary is small. Words it was never trained on
would be spelled out letter by letter and mean nothing, so they are refused by name.
"""

import difflib
import re

from dpodiff.models.base import PromptError
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.toy import WEIGHTS

FOLDER = WEIGHTS / "stable-diffusion"


class Toy(StableDiffusion):
    """The model `load("toy")` gives."""

    # By the judge, 10 steps are as good as 25, and guidance 5 keeps colours that 7.5 burns out.
    steps = 10
    guidance = 5.0

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        from dpodiff.toy.words import known_words

        known = known_words()
        words = re.findall(r"[^\W_]+", f"{prompt} {negative_prompt}".lower())
        unknown = [word for word in dict.fromkeys(words) if word not in known]
        if unknown:
            raise PromptError(
                f"the toy world does not know {', '.join(_with_near(w, known) for w in unknown)}; "
                "dpodiff.toy.words.known_words() lists what it knows"
            )
        super().check(prompt, negative_prompt)


def _with_near(word: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known))
    return f"{word!r} (near: {', '.join(near)})" if near else repr(word)
