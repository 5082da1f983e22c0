"""From the original CUHK03 archive to the folders of the new protocol (Zhong et al., CVPR 2017). Needs h5py."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hcga.datasets.layouts.market1501 import FOLDERS
from hcga.datasets.matlab import UNPACKED, read_arrays
from hcga.errors import InputError, brief
from hcga.files import fresh
from hcga.images import LARGEST
from hcga.runs.progress import track

NAME = re.compile(r"[1-9]\d{0,3}_0{0,3}[1-9]\d{0,4}_[12]_0{0,3}[1-9]\d{0,3}\.png")  # pair, person, view, column, from 1
DEFLATE = 1  # number of the filter
PAIRS = 1000  # of cameras at most; there are five
UNREADABLE = (OSError, LookupError, TypeError, ValueError, OverflowError, AttributeError, RuntimeError, zlib.error)


def extract_cuhk03(archive: Path, protocol: Path, boxes: str, root: Path) -> None:
    """Write the images of `cuhk-03.mat` as the published re-split has them.

    Parameters
    ----------
    archive : Path
        cuhk-03.mat, an HDF5 file (MATLAB 7.3). `detected` and `labeled` are each five camera pairs of cells, one row a
        person, ten columns: five images of either view.
    protocol : Path
        cuhk03_new_protocol_config_detected.mat or ..._labeled.mat, in MATLAB's older format: filelist, labels,
        train_idx, query_idx, gallery_idx; indices count from 1. A name of the file list, such as 1_002_2_08.png, is
        pair, person, view and column, from 1.
    boxes : {'detected', 'labeled'}
        The one that the protocol file is for.
    root : Path
        Folder to make: `bounding_box_train`, `query` and `bounding_box_test` with files such as `0003_c1_21.png`:
        identity, view, place in the file list.

    Raises
    ------
    InputError
        The root exists, a file is missing or is something else, or the protocol names an image that the archive lacks.
    """
    if root.exists():
        raise InputError(f"{root}: is there already; name a folder to make")
    names, labels, places = _read_protocol(protocol)
    wanted = [(folder, place) for split, folder in FOLDERS.items() for place in places[split]]
    images = _read_images(archive, boxes, [names[place - 1] for _, place in wanted])
    with fresh(root) as draft:
        for folder in FOLDERS.values():
            (draft / folder).mkdir(parents=True)
        for (folder, place), (view, image) in zip(track(wanted, "images", len(wanted), "image"), images, strict=True):
            Image.fromarray(image).save(draft / folder / f"{labels[place - 1]:04d}_c{view}_{place}.png")


def _read_images(archive: Path, boxes: str, names: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """View and pixels, (H, W, 3) uint8, of each name of the file list."""
    import h5py

    try:
        with h5py.File(archive, "r") as file:
            pairs = [_own(file, file[reference]) for reference in _own(file, file[boxes], PAIRS)[0]]
            for name in names:
                pair, person, view, column = (int(part) for part in name.removesuffix(".png").split("_"))
                stored = _own(file, file[pairs[pair - 1][column - 1, person - 1]])
                if stored.ndim != 3 or stored.dtype != np.uint8 or stored.shape[0] != 3 or not stored.size:
                    raise InputError(f"{archive}: no image {name} of {boxes}; is the protocol for other boxes?")
                yield view, np.ascontiguousarray(stored[()].T)
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file; it is cuhk-03.mat of cuhk03_release.zip") from None
    except UNREADABLE as error:
        raise InputError(f"{archive}: cannot be read as cuhk-03.mat ({error}); take it from the archive anew") from None


def _own(file: Any, found: Any, most: int = LARGEST) -> Any:
    """A data set of an archive; `ValueError` if it is none, too large, or takes its values from other files."""
    if not hasattr(found, "chunks") or found.file != file or found.external or found.is_virtual:
        raise ValueError("what should be values is a folder, or lies in another file")
    if max(found.size, math.prod(found.chunks or ())) > most:
        raise ValueError(f"{brief(found.name)} has {found.size} values, at most {most} are wanted")
    _refuse_bombs(found)
    return found


def _refuse_bombs(found: Any) -> None:
    """Refuse chunks that unpack to more than they hold: HDF5 would unpack them to their end. `ValueError`."""
    packing = found.id.get_create_plist()
    filters = [packing.get_filter(number)[0] for number in range(packing.get_nfilters())]
    if filters not in ([], [DEFLATE]):
        raise ValueError(f"{brief(found.name)} is packed by HDF5's filters {filters}, wanted is gzip or none")
    if filters:
        most = math.prod(found.chunks) * found.dtype.itemsize
        for number in range(found.id.get_num_chunks()):
            _, packed = found.id.read_direct_chunk(found.id.get_chunk_info(number).chunk_offset)
            if len(zlib.decompressobj().decompress(packed, most + 1)) > most:
                raise ValueError(f"{brief(found.name)} unpacks to more than it holds")


def _read_protocol(path: Path) -> tuple[list[str], list[int], dict[str, list[int]]]:
    """File names, identities, and places in both, from 1, of each split."""
    try:
        if path.stat().st_size > UNPACKED:
            raise ValueError(f"{path.stat().st_size:,} bytes; {UNPACKED:,} are the most")
        content = read_arrays(path.read_bytes())
        names = [str(name) for name in content["filelist"]]
        labels = [int(label) for label in content["labels"]]
        places = {split: [int(place) for place in content[f"{split}_idx"]] for split in FOLDERS}
        odd = [name for name in names if not NAME.fullmatch(name)]
        if odd:
            raise ValueError(f"{brief(odd[0])} is no name such as 1_002_2_08.png")
        if min(labels) < 1 or max(labels) > LARGEST:
            raise ValueError(f"identities {brief(min(labels))} to {brief(max(labels))}")
        listed = [place for split in places.values() for place in split]
        if min(listed) < 1 or max(listed) > min(len(names), len(labels)):
            raise ValueError(f"places {min(listed)} to {max(listed)} of {len(names)} names, {len(labels)} labels")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it comes with the code of Zhong et al., CUHK03-NP") from None
    except UNREADABLE as error:
        raise InputError(
            f"{path}: no protocol of CUHK03-NP ({error}); a file saved from a web page may hold the page instead"
        ) from None
    return names, labels, places
