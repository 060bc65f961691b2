"""Make the package's WordNet database, `wordnet-3.0.zip`, from a full one.

The source is WordNet 3.0 from Debian's package wordnet-base, version 1:3.0-37. To make the archive
again, in any folder:

    apt-get download wordnet-base
    dpkg -x wordnet-base_*.deb source
    python -m dpodiff.spaces.lexicons.wordnet_extract source/usr/share/wordnet

The glosses (definitions and example sentences), more than half of the data, are left out, and the
sentences for verbs, sentidx.vrb and sents.vrb. Everything else is kept: words, senses and their
order, lexicographer files, all pointers, verb frames, exceptions of inflection, the tag counts of
senses, and the license at the head of each file. Debian has no index.sense, so nltk's
lemma_from_key does not work.

An entry is identified by the byte offset of its line. The lines are shorter now, so all offsets are
computed again. The formats are those of WordNet's manual pages wndb(5WN) and cntlist(5WN). The same
source gives the same bytes.
"""

import argparse
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SUFFIXES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
COUNTS = "cntlist.rev"
FILES = (
    *(f"{kind}.{suffix}" for suffix in SUFFIXES.values() for kind in ("index", "data")),
    *(f"{suffix}.exc" for suffix in SUFFIXES.values()),
    COUNTS,
)
VERSION = "WordNet 3.0 "
ARCHIVE = "wordnet-3.0.zip"
DATE = (1980, 1, 1, 0, 0, 0)  # the first date that a zip archive allows

Offsets = Mapping[str, Mapping[str, str]]  # part of speech -> old offset -> new offset


def extract(folder: Path) -> dict[str, str]:
    """Return the texts of a database without glosses, by file name.

    Args:
        folder: folder of the full database, with all of `FILES`; pure ASCII.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if it is another version of WordNet.
    """
    texts = {name: (folder / name).read_text("ascii") for name in FILES}
    if VERSION not in texts["data.noun"][:2000]:
        raise ValueError(f"the license in {folder / 'data.noun'} is not that of {VERSION.strip()}")
    entries = {
        tag: [_without_gloss(line) for line in texts[f"data.{suffix}"].splitlines()]
        for tag, suffix in SUFFIXES.items()
    }
    offsets = {tag: dict(_offsets(lines)) for tag, lines in entries.items()}
    offsets["s"] = offsets["a"]  # both kinds of adjectives share a file
    for tag, suffix in SUFFIXES.items():
        index = texts[f"index.{suffix}"].splitlines()
        texts[f"index.{suffix}"] = _joined(_index_line(line, offsets[tag]) for line in index)
        texts[f"data.{suffix}"] = _joined(_data_line(line, tag, offsets) for line in entries[tag])
    return texts


def write(texts: Mapping[str, str], path: Path) -> None:
    """Write an archive of these texts; equal texts give equal bytes."""
    unfinished = path.with_name(path.name + ".tmp")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system = 3  # Unix, on any system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode("ascii"), zipfile.ZIP_LZMA)
    os.replace(unfinished, path)


def _joined(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _is_license(line: str) -> bool:
    return line.startswith(" ")


def _without_gloss(line: str) -> str:
    return line if _is_license(line) else " ".join([*line.partition("|")[0].split(), "|"])


def _offsets(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the old and the new offset of each entry; both have eight digits."""
    place = 0
    for line in lines:
        if not _is_license(line):
            yield line[:8], f"{place:08}"
        place += len(line) + 1


def _data_line(line: str, tag: str, offsets: Offsets) -> str:
    """Return a line of a data file with new offsets.

    Its fields are: offset, file, type, number of words, words and their ids, number of pointers,
    pointers.
    """
    if _is_license(line):
        return line
    fields = line.split()
    fields[0] = offsets[tag][fields[0]]
    n_pointers = 4 + 2 * int(fields[3], 16)
    first = n_pointers + 1
    for i in range(first, first + 4 * int(fields[n_pointers]), 4):  # symbol, offset, tag, words
        fields[i + 1] = offsets[fields[i + 2]][fields[i + 1]]
    return " ".join(fields)


def _index_line(line: str, offsets: Mapping[str, str]) -> str:
    """Return a line of an index file with new offsets; they come last, the most used first."""
    if _is_license(line):
        return line
    fields = line.split()
    senses = int(fields[2])
    return " ".join([*fields[:-senses], *(offsets[offset] for offset in fields[-senses:])])


def main() -> None:
    """Read the folder from the command line and write the archive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the full database")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name(ARCHIVE))
    options = parser.parse_args()
    write(extract(options.folder), options.output)
    print(f"{options.output}: {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
