"""Opens a WordNet database: the one that comes with the package, or one in a folder.

nltk reads it. By itself nltk opens files on its own data path only, so here it is handed the files:
those of the package may lie in a place that cannot be written, or in an archive.
"""

import functools
import io
import zipfile
from importlib.resources import files
from pathlib import Path

from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.data import PathPointer, SeekableUnicodeStreamReader

from dpodiff.spaces.lexicons.wordnet_extract import ARCHIVE, FILES

PACKAGE = "dpodiff.spaces.lexicons"


class Reader(WordNetCorpusReader):
    """nltk's reader, of the files that all distributions have."""

    def open(self, file: str):
        """Open a file of the database; the names of its lexicographer files are the package's."""
        if file == "lexnames":  # not in Debian's; the same in all versions
            return io.StringIO(files(PACKAGE).joinpath(file).read_text("ascii"))
        return self.root.join(file).open(self.encoding(file))

    def map_wn(self, version: str = "wordnet") -> None:
        """Would want a file that Debian does not have, for other languages than English."""

    def forms(self, name: str, tag: str) -> set[str]:
        """The word and its likeliest base form: men and man; planes and plane, but not plan."""
        return {name, *[form for form in self._morphy(name, tag) if form != name][:1]}


class Files(PathPointer):
    """nltk's interface to a file or folder, on disk or in an archive.

    Args:
        path: of it.
    """

    # nltk has no types: its abstract methods are read as if they gave None.

    def __init__(self, path: Path | zipfile.Path) -> None:
        self.path = path

    def open(self, encoding: str | None = None):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read the file into memory: as bytes, or as text with nltk's own methods."""
        stream = io.BytesIO(self.path.read_bytes())
        return SeekableUnicodeStreamReader(stream, encoding) if encoding else stream

    def file_size(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The number of its bytes."""
        return len(self.path.read_bytes())

    def join(self, fileid: str) -> "Files":  # pyright: ignore[reportIncompatibleMethodOverride]
        """A file of the folder."""
        return Files(self.path / fileid)


def open_database(folder: str | Path | None = None) -> Reader:
    """The database of the package, or the one in a folder, read on the first call.

    Raises:
        FileNotFoundError: the folder lacks files of a database, saying which.
    """
    return _read(None if folder is None else Path(folder).resolve())


@functools.cache
def _read(folder: Path | None) -> Reader:
    if folder is None:
        archive = zipfile.ZipFile(io.BytesIO(files(PACKAGE).joinpath(ARCHIVE).read_bytes()))
        archive.filename = ARCHIVE  # which a repr shows
        return Reader(Files(zipfile.Path(archive)), omw_reader=False)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} holds no WordNet database: {', '.join(missing)} missing. Name a folder with "
            "such files, as WordNet's own dict, or none for the database of the package."
        )
    return Reader(Files(folder), omw_reader=False)
