"""Parameters of a notebook that papermill runs.

    papermill notebooks/01_quickstart.ipynb done.ipynb -p prompt "a red ball"

Papermill adds a cell with the given values after the cell that declares the parameters. An
undeclared name would set a variable that no cell reads.
"""

import ast
from collections.abc import Sequence

from dpodiff.api.advice import nearest
from dpodiff.checks import check_texts

GIVEN = "# Parameters"  # the first line of papermill's cell


def check_parameters(cells: Sequence[str]) -> bool:
    r"""Refuse parameters of papermill that the notebook does not declare.

    A notebook calls it right after the cell that declares its parameters, with `In`, the cells that
    have run. Without parameters from papermill it refuses nothing.

    Args:
        cells: source of the cells, in the order in which they ran.

    Returns:
        whether every parameter has its declared value, so that sentences about the results apply to
        this run; see `conclusion`.

    Raises:
        ValueError: if a parameter is not declared. The message names the nearest one and all that
            are.

    Examples:
        >>> declared, given = "prompt = 'a cup'", "# Parameters\nprompt = 'a red ball'"
        >>> dpodiff.check_parameters([declared]), dpodiff.check_parameters([declared, given])
        (True, False)
        >>> try:
        ...     dpodiff.check_parameters([declared, given.replace("prompt", "promt")])
        ... except ValueError as error:
        ...     print(error)
        the notebook has no parameter 'promt'; did you mean 'prompt'? It has prompt
    """
    check_texts("cells", cells)
    places = [place for place, cell in enumerate(cells) if cell.splitlines()[:1] == [GIVEN]]
    if not places or not places[-1]:
        return True
    known, given = (_assigned(cells[place]) for place in (places[-1] - 1, places[-1]))
    for name in given:
        if name not in known:
            near = nearest(name, list(known))
            advice = f"; {near} It has" if near else "; it has"
            raise ValueError(f"the notebook has no parameter {name!r}{advice} {', '.join(known)}")
    return all(known[name] == value for name, value in given.items())


def _assigned(cell: str) -> dict[str, str]:
    """Return the names that a cell assigns, in order, with their values as normalized code."""
    found = {}
    for node in ast.parse(cell).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            found |= dict.fromkeys(names, ast.unparse(node.value))
    return found
