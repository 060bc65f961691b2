"""Access to a WordNet database: that of the package, or one in a folder.

nltk reads it. nltk itself opens only files on its data path. Here the files are passed to it, since
those of the package may be in a read-only folder or in an archive.
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
    """nltk's reader, for the files that all distributions have."""

    def open(self, file: str):
        """Open a file of the database; the names of lexicographer files come from the package."""
        if file == "lexnames":  # missing in Debian; the same in all versions
            return io.StringIO(files(PACKAGE).joinpath(file).read_text("ascii"))
        return self.root.join(file).open(self.encoding(file))

    def map_wn(self, version: str = "wordnet") -> None:
        """Do nothing: the mapping for other languages needs a file that Debian lacks."""

    def forms(self, name: str, tag: str) -> set[str]:
        """Return a word and its likeliest base form: men and man; planes and plane, not plan."""
        return {name, *[form for form in self._morphy(name, tag) if form != name][:1]}


class Files(PathPointer):
    """nltk's interface to a file or folder, on disk or in an archive.

    Args:
        path: path of the file or folder.
    """

    # nltk has no types: its abstract methods are inferred to return None.

    def __init__(self, path: Path | zipfile.Path) -> None:
        self.path = path

    def open(self, encoding: str | None = None):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read the file into memory, as bytes or as text."""
        stream = io.BytesIO(self.path.read_bytes())
        return SeekableUnicodeStreamReader(stream, encoding) if encoding else stream

    def file_size(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the size in bytes."""
        return len(self.path.read_bytes())

    def join(self, fileid: str) -> "Files":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a file of the folder."""
        return Files(self.path / fileid)


def open_database(folder: str | Path | None = None) -> Reader:
    """Return the database of the package, or of a folder; it is read at the first call.

    Raises:
        FileNotFoundError: if files of the database are missing; the message names them.
    """
    return _read(None if folder is None else Path(folder).resolve())


@functools.cache
def _read(folder: Path | None) -> Reader:
    if folder is None:
        archive = zipfile.ZipFile(io.BytesIO(files(PACKAGE).joinpath(ARCHIVE).read_bytes()))
        archive.filename = ARCHIVE  # shown by repr
        return Reader(Files(zipfile.Path(archive)), omw_reader=False)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} holds no WordNet database: {', '.join(missing)} missing. Name a folder with "
            "such files, as WordNet's own dict, or none for the database of the package."
        )
    return Reader(Files(folder), omw_reader=False)
