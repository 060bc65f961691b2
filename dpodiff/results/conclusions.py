"""Sentences about a result that are checked against it."""

from dpodiff.checks import check_switch, check_text


class Conclusion(str):
    """A sentence that a notebook shows as text instead of output.

    Examples:
        >>> dpodiff.Conclusion("It holds.")._repr_markdown_()
        'It holds.'
    """

    def _repr_markdown_(self) -> str:
        return str(self)


def conclusion(text: str, holds: bool, *, default: bool = True) -> Conclusion | None:
    """Return a sentence about a result, or raise an error if it is false.

    A notebook that runs with its own parameters shows the sentence, and fails if it is false. With
    other parameters the result may differ, so nothing is shown.

    Args:
        text: the sentence, in Markdown; its numbers should come from the result.
        holds: whether the sentence is true for the result.
        default: whether the notebook runs with its own parameters, as `check_parameters` returns.

    Raises:
        AssertionError: if the sentence is false; the message quotes it.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.03, -0.01] * 6)
        >>> dpodiff.conclusion(f"The loss falls by {-gain.mean:.2f}.", gain.high < 0)
        'The loss falls by 0.02.'
        >>> dpodiff.conclusion("The loss falls.", False, default=False)
    """
    check_text("text", text)
    check_switch("default", default)
    if not default:
        return None
    if not holds:
        raise AssertionError(f"this is not true of the result: {text}")
    return Conclusion(text)
