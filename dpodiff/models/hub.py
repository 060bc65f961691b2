"""The Hugging Face hub: whether it can be reached, and what its errors mean.

Without a network the libraries that download try for most of a minute for each file, and then say
little. Here the hub is asked once, for a few seconds. If it does not answer, only the files that
were downloaded before are looked at, for all models, losses and encoders of the next minute.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dpodiff.names import LoadError

SECONDS = 3.0  # that the hub has to answer
MEMORY = 60.0  # seconds for which an answer, or none, is remembered
FOLDER = "give the path of a local folder that holds it"
LOG_IN = "run `hf auth login`, or set HF_TOKEN"
PACKAGED = "take 'toy', the model, loss and encoder that come with the package"

_asked: dict[str, tuple[float, bool]] = {}  # address -> when it was asked, whether it answered


@contextmanager
def asking(
    source: str, *, name: str | None = None, folder: str = FOLDER, otherwise: str = PACKAGED
) -> Iterator[None]:
    """Within, libraries may load what is here, or download it if the hub can be reached.

    Args:
        source: a folder or file, or the hub id of a repository.
        name: what the user calls it, for the message; None is the source.
        folder: how to name a local copy, for the message.
        otherwise: what needs no download, for the message.

    Raises:
        LoadError: instead of an error of the hub, saying what can be done. Other errors pass.
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
    except Exception as error:  # of the hub, or of its network library
        problem = _problem(error, source) if reached else _not_here(error)
        if problem is None:
            raise
        ways = _ways(folder, otherwise)
        said = source if name in (None, source) else f"{name} ({source})"
        raise LoadError(f"{said} cannot be loaded: {problem}. {ways}") from error


def answers() -> bool:
    """Whether the hub can be reached; asked once a minute, unless HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    when, answered = _asked.get(constants.ENDPOINT, (float("-inf"), False))
    if time.monotonic() - when > MEMORY:
        answered = _ask(constants.ENDPOINT)
        _asked[constants.ENDPOINT] = time.monotonic(), answered
    return answered


def _ask(address: str) -> bool:
    """Whether anything answers, be it an error; a look-up of the name may hang, so in a thread."""
    from huggingface_hub import get_session

    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(address, timeout=SECONDS)
        except Exception:  # of the network library, whichever it is
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answered.is_set()


@contextmanager
def _offline() -> Iterator[None]:
    """Within, the libraries look at downloaded files alone, as with HF_HUB_OFFLINE=1."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _not_here(error: Exception) -> str | None:
    """What an error means while the hub is not asked; None if it is none of missing files."""
    from huggingface_hub import constants

    if not isinstance(error, OSError):
        return None
    if constants.HF_HUB_OFFLINE:
        return "it is not on this machine, and HF_HUB_OFFLINE forbids to download it"
    return f"it is not on this machine, and {constants.ENDPOINT} cannot be reached"


def _problem(error: Exception, source: str) -> str | None:
    """What an error of the hub means; None if it is of something else."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{source}"
    causes = list(_causes(error))
    codes = [getattr(getattr(cause, "response", None), "status_code", None) for cause in causes]
    if _any(causes, errors.GatedRepoError):
        return f"it is gated. Accept its license at {page}, and log in: {LOG_IN}"
    if _any(causes, errors.RepositoryNotFoundError) or not {401, 403}.isdisjoint(codes):
        return f"{page} does not exist, or is not open to you. Check the name, or log in: {LOG_IN}"
    if _any(causes, errors.RemoteEntryNotFoundError):
        return f"a file that it needs is missing at {page} ({_first_line(error)})"
    if _any(causes, errors.HfHubHTTPError) or _any(causes, errors.LocalEntryNotFoundError):
        return f"{constants.ENDPOINT} answered with an error ({_first_line(causes[-1])})"
    return None


def _any(causes: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it, the last first."""
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
