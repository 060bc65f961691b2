"""One writer at a time: a lock of an open file or folder that ends with its process."""

try:
    import fcntl
except ImportError:  # Windows has none, so nothing keeps a second process from writing
    fcntl = None


def lock(descriptor: int) -> None:
    """Lock an open file or folder for this process, until the descriptor is closed.

    Nothing is locked on Windows, and on a file system without locks.

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
