"""Sentences about a result that are checked when the result is there."""

from dpodiff.checks import check_switch, check_text


class Conclusion(str):
    """A sentence that a notebook shows as text and not as output.

    Examples:
        >>> dpodiff.Conclusion("It holds.")._repr_markdown_()
        'It holds.'
    """

    def _repr_markdown_(self) -> str:
        return str(self)


def conclusion(text: str, holds: bool, *, default: bool = True) -> Conclusion | None:
    """A sentence about a result, shown only if it is about this result, and only if it is true.

    A notebook that runs with its own parameters shows the sentence, and fails if it is false. With
    other parameters the result is another one, and nothing is said about it.

    Args:
        text: the sentence, in Markdown; its numbers should come from the result.
        holds: whether it is true of the result.
        default: whether the notebook runs with its own parameters, as `check_parameters` returns.

    Raises:
        AssertionError: if the sentence is false, quoting it.

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
