"""Locks on an open file or folder for one writer, released when its process ends."""

try:
    import fcntl
except ImportError:  # missing on Windows, where a second process is not stopped from writing
    fcntl = None


def lock(descriptor: int) -> None:
    """Lock an open file or folder for this process until the descriptor is closed.

    There is no lock on Windows, and on file systems without locks.

    Raises:
        BlockingIOError: if another process has locked it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return  # a file system without locks
