"""Key words: the words of a prompt that an image can show.

In its keyword mode DPO-Diff asks a language model to replace only key words. Without a language
model, every word except the function words below is a key word. Words of place ("below", "left")
are key words, since a position is visible.
"""

import re

from dpodiff.checks import check_text
from dpodiff.spaces.lexicons.base import normal

WORD = re.compile(r"\w+(?:['’-]\w+)*")  # don't, t-shirt: one word each

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those
    i me my mine we us our ours you your yours he him his she her hers it its they them their theirs
    myself yourself himself herself itself ourselves themselves one ones oneself
    who whom whose which what where when while why how
    and or but nor so yet if than then as because although though unless until whether
    of in on at to from by with without for into onto upon about via per during since toward towards
    through throughout along off out up down
    am is are was were be been being have has had having do does did doing done
    can could may might must shall should will would
    not no only very too also just some any each every both either neither such other another same
    there here
    """.split()
)


def extract_keywords(prompt: str) -> list[str]:
    """Return the key words of a prompt, in lower case, each once, in order.

    Raises:
        ValueError: if the prompt is not a string.

    Examples:
        >>> dpodiff.extract_keywords("There is a small red ball to the left of the box")
        ['small', 'red', 'ball', 'left', 'box']
    """
    check_text("prompt", prompt)
    words = dict.fromkeys(normal(word) for word in WORD.findall(prompt))
    return [word for word in words if word not in FUNCTION_WORDS]
