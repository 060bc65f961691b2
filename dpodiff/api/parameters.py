"""Parameters of a notebook that papermill runs.

    papermill notebooks/01_quickstart.ipynb done.ipynb -p prompt "a red ball"

Papermill adds a cell that sets what it was given after the cell that declares the parameters. A
name that is not declared there would set a variable that nobody reads.
"""

import ast
from collections.abc import Sequence

from dpodiff.api.advice import nearest
from dpodiff.checks import check_texts

GIVEN = "# Parameters"  # the first line of papermill's cell


def check_parameters(cells: Sequence[str]) -> None:
    r"""Refuse parameters that papermill was given but that the notebook does not declare.

    A notebook calls it right after the cell that declares its parameters, with `In`, the cells
    that have run. Where papermill was given nothing, it does nothing.

    Args:
        cells: their texts, in the order in which they ran.

    Raises:
        ValueError: if a parameter is not declared, naming the nearest one and all that are.

    Examples:
        >>> declared, given = "prompt = 'a cup'", "# Parameters\nprompt = 'a red ball'"
        >>> dpodiff.check_parameters([declared, given])
        >>> try:
        ...     dpodiff.check_parameters([declared, given.replace("prompt", "promt")])
        ... except ValueError as error:
        ...     print(error)
        the notebook has no parameter 'promt'; did you mean 'prompt'? It has prompt
    """
    check_texts("cells", cells)
    places = [place for place, cell in enumerate(cells) if cell.splitlines()[:1] == [GIVEN]]
    if not places or not places[-1]:
        return
    known = _assigned(cells[places[-1] - 1])
    for name in _assigned(cells[places[-1]]):
        if name not in known:
            near = nearest(name, known)
            advice = f"; {near} It has" if near else "; it has"
            raise ValueError(f"the notebook has no parameter {name!r}{advice} {', '.join(known)}")


def _assigned(cell: str) -> list[str]:
    """The names that a cell sets, in order."""
    targets = [
        target
        for node in ast.parse(cell).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]
