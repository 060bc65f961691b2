"""The Hugging Face hub: whether it can be reached, and what its errors mean.

Without a network, libraries that download try for most of a minute per file, and their errors say
little. Here the hub is asked once, for a few seconds. If it does not answer, only downloaded files
are used for the next minute, for all models, losses and encoders.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dpodiff.names import LoadError

SECONDS = 3.0  # time for the hub to answer
MEMORY = 60.0  # seconds for which the outcome is remembered
FOLDER = "give the path of a local folder that holds it"
LOG_IN = "run `hf auth login`, or set HF_TOKEN"
PACKAGED = "take 'toy', the model, loss and encoder that come with the package"

_asked: dict[str, tuple[float, bool]] = {}  # address -> time of the request, whether it answered


@contextmanager
def asking(
    source: str, *, name: str | None = None, folder: str = FOLDER, otherwise: str = PACKAGED
) -> Iterator[None]:
    """Inside the block, libraries may load local files, or download if the hub can be reached.

    Args:
        source: a folder or file, or the hub id of a repository.
        name: the user's name for it, for the message; None is the source.
        folder: how to give a local copy, for the message.
        otherwise: an alternative without a download, for the message.

    Raises:
        LoadError: instead of an error of the hub; the message says what to do. Other errors pass.
    """
    if Path(source).exists() or Path(source).is_absolute():
        yield
        return
    reached = answers()
    try:
        with nullcontext() if reached else _offline():
            yield
    except LoadError:
        raise
    except Exception as error:  # from the hub or from its network library
        problem = _problem(error, source) if reached else _not_here(error)
        if problem is None:
            raise
        ways = _ways(folder, otherwise)
        said = source if name in (None, source) else f"{name} ({source})"
        raise LoadError(f"{said} cannot be loaded: {problem}. {ways}") from error


def answers() -> bool:
    """Return whether the hub can be reached; asked once a minute unless HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    when, answered = _asked.get(constants.ENDPOINT, (float("-inf"), False))
    if time.monotonic() - when > MEMORY:
        answered = _ask(constants.ENDPOINT)
        _asked[constants.ENDPOINT] = time.monotonic(), answered
    return answered


def _ask(address: str) -> bool:
    """Return whether the hub answers, even with an error; in a thread, since DNS may hang."""
    from huggingface_hub import get_session

    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(address, timeout=SECONDS)
        except Exception:  # from any network library
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answered.is_set()


@contextmanager
def _offline() -> Iterator[None]:
    """Inside the block, the libraries use downloaded files only, as with HF_HUB_OFFLINE=1."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _not_here(error: Exception) -> str | None:
    """Return the meaning of an error for a missing file without the hub; None for other errors."""
    from huggingface_hub import constants

    if not isinstance(error, OSError):
        return None
    if constants.HF_HUB_OFFLINE:
        return "it is not on this machine, and HF_HUB_OFFLINE forbids to download it"
    return f"it is not on this machine, and {constants.ENDPOINT} cannot be reached"


def _problem(error: Exception, source: str) -> str | None:
    """Return the meaning of an error of the hub; None for other errors."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{source}"
    causes = list(_causes(error))
    codes = [getattr(getattr(cause, "response", None), "status_code", None) for cause in causes]
    if _any(causes, errors.GatedRepoError):
        return f"it is gated. Accept its license at {page}, and log in: {LOG_IN}"
    if _any(causes, errors.RepositoryNotFoundError) or not {401, 403}.isdisjoint(codes):
        return f"{page} does not exist, or you have no access. Check the name, or log in: {LOG_IN}"
    if _any(causes, errors.RemoteEntryNotFoundError):
        return f"a file that it needs is missing at {page} ({_first_line(error)})"
    if _any(causes, errors.HfHubHTTPError) or _any(causes, errors.LocalEntryNotFoundError):
        return f"{constants.ENDPOINT} answered with an error ({_first_line(causes[-1])})"
    return None


def _any(causes: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _ways(folder: str, otherwise: str) -> str:
    from huggingface_hub import constants

    return (
        f"You can {folder}; or load it once with a network, which keeps it in the cache "
        f"{constants.HF_HUB_CACHE} (it may be copied from another machine); or {otherwise}"
    )


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
