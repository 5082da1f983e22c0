"""Files and folders that appear only when they are whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from hcga.guards import alone, naming_full_disks

TAIL = 1024  # bytes: a shard of a store ends in the index of its chunks, with a checksum
SCRIPTS = Path(__file__).parent.parent / "pipeline"  # of stages, where this package lies in a checkout
DRAFT = "draft"  # in the folder that `resumable` keeps


@contextmanager
def fresh(path: Path, flushed: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; what is there replaces `path` only if the block ends well.

    Parameters
    ----------
    path : Path
        File or folder to come. What stands there stays until the block has ended without an exception.
    flushed : bool
        Whether it must be on the disk before it has its name, so that a power cut leaves no half of it there; dear for
        thousands of files.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet; its name is stable, so a dead run's remains are
        removed by the next.

    Raises
    ------
    InputError
        Another process writes `path`.
    NoSpaceError
        The disk is full.
    """
    with _writing(path):
        draft = path.with_name(f".{path.name}.part")
        _remove(draft)
        try:
            yield draft
            _put(draft, path, flushed)
        finally:
            _remove(draft)


@contextmanager
def resumable(path: Path, key: str) -> Iterator[Path]:
    """Give a path beside `path` to write to, and give it back to the next run if this one dies.

    Parameters
    ----------
    path : Path
        As in `fresh`.
    key : str
        Says what is written, letters and digits; what a run with another key has left is removed.

    Yields
    ------
    Path
        A path with what a run with the same key has left there, if anything. How far that has come may stand in
        `note_beside` it, which is there until the draft has its name.

    Raises
    ------
    InputError, NoSpaceError
        As of `fresh`.
    """
    with _writing(path):
        folder = _kept_for(path, key)
        draft = folder / DRAFT
        if not draft.exists():  # the run before died when the draft had got its name
            note_beside(draft).unlink(missing_ok=True)
        yield draft
        _put(draft, path, flushed=True)
        _remove(folder)


@contextmanager
def scratch(path: Path, key: str) -> Iterator[Path]:
    """Give a folder for what a stage has reached on the way to `path`; the next run gets it back if this one dies.

    Parameters
    ----------
    path, key
        As in `resumable`.

    Yields
    ------
    Path
        The folder, beside `path`. It goes when the block has ended well.

    Raises
    ------
    InputError, NoSpaceError
        As of `fresh`.
    """
    with _writing(path, ".scratch"):
        folder = _kept_for(path, key)
        try:
            yield folder
        except BaseException:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
            raise
        _remove(folder)


@contextmanager
def _writing(path: Path, what: str = "") -> Iterator[None]:
    """What holds while `path` is written, or something else for it."""
    with naming_full_disks(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, what):
            yield


def _put(draft: Path, path: Path, flushed: bool) -> None:
    """Give a draft its name."""
    if flushed:
        flush(draft)
    if draft.is_dir() or path.is_dir():  # a file is replaced in one step, a folder cannot be
        _remove(path)
    draft.replace(path)
    if flushed:
        flush(path.parent, below=False)


def _kept_for(path: Path, key: str) -> Path:
    """Folder in which a run with this key keeps what it has for `path`; what those with other keys have left goes."""
    kept = scratch_folder(path, key)
    others = re.compile(rf"\.{re.escape(path.name)}\.(?!lock\.)[0-9A-Za-z]+\.part")
    for left in path.parent.iterdir():
        if left != kept and others.fullmatch(left.name):
            _remove(left)
    kept.mkdir(exist_ok=True)
    return kept


def scratch_folder(path: Path, key: str) -> Path:
    """Where a run with this key keeps what it has for `path`."""
    return path.with_name(f".{path.name}.{key}.part")


def note_beside(draft: Path) -> Path:
    """Where the progress of a draft is noted."""
    return draft.with_name(f"{draft.name}.note")


def run_key(inputs: Sequence[Path], *settings: object) -> str:
    """Key of `resumable` and `scratch`: digest of the code, of what a stage reads, and of its settings' `repr`."""
    texts = [code_digest(), *map(content_digest, inputs), *map(repr, settings)]
    return digest(*(text.encode() for text in texts))


def content_digest(path: Path) -> str:
    """Digest of a file, or of all files below a folder with their names, 32 hexadecimal digits."""
    files = sorted(file for file in (path, *path.rglob("*")) if file.is_file())
    hashed = hashlib.blake2b(digest_size=16)
    for file in files:
        hashed.update(f"{file.relative_to(path)} {file.stat().st_size} ".encode())
        with file.open("rb") as opened:
            hashlib.file_digest(opened, lambda: hashed)
    return hashed.hexdigest()


def flush(path: Path, below: bool = True) -> None:
    """Have a file, or a folder with all `below` it, written to disk, so that it outlives a power cut."""
    entries = [entry for entry in path.rglob("*") if not entry.is_symlink()] if below else []
    for entry in (*entries, path):
        handle = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_note(path: Path, text: str) -> None:
    """Write a text with its digest, for `read_note`."""
    with fresh(path, flushed=True) as draft:
        draft.write_text(f"{digest(text.encode())} {text}", encoding="utf-8")


def read_note(path: Path) -> str:
    """Read what `write_note` has written; empty if it is damaged or was never there."""
    noted, _, text = (path.read_text("utf-8", errors="replace") if path.is_file() else "").partition(" ")
    return text if digest(text.encode()) == noted else ""


def code_digest() -> str:
    """Digest of this package's modules, for the key of `resumable`: other code may write something else."""
    modules = sorted(Path(__file__).parent.rglob("*.py"))
    return digest(*(path.read_bytes() for path in modules))


def checkout_digest() -> str:
    """Digest of this package's modules and of the stage scripts beside it."""
    return digest(code_digest().encode(), *(script.read_bytes() for script in sorted(SCRIPTS.glob("*.py"))))


def outline(path: Path) -> str:
    """Digest of names, sizes and ends of a file or of all files below a folder: other content has another, nearly."""
    files = sorted(file for file in (path, *path.rglob("*")) if file.is_file())
    return digest(*(part for file in files for part in (file.relative_to(path).as_posix().encode(), *_end(file))))


def file_digest(path: Path) -> str:
    """Digest of a file, as `digest` has it of the file's bytes, read piece by piece."""
    hashed = hashlib.blake2b(digest_size=16)
    with path.open("rb") as opened:
        hashed.update(os.fstat(opened.fileno()).st_size.to_bytes(8, "big"))
        hashlib.file_digest(opened, lambda: hashed)
    return hashed.hexdigest()


def digest(*parts: bytes) -> str:
    """Digest of byte strings and of where one ends, 32 hexadecimal digits."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.hexdigest()


def leads_below(path: object) -> bool:
    """Tell whether a path of a table or list leads to something below the folder it is relative to."""
    if not isinstance(path, str) or not path.strip("./"):
        return False
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def is_file(path: Path) -> bool:
    """Tell whether there is a file; a path that is too long for one leads to none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _end(file: Path) -> tuple[bytes, bytes]:
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - TAIL))
        return str(size).encode(), opened.read()
