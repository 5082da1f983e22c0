"""From the original CUHK03 archive to the folders of the new protocol (Zhong et al., CVPR 2017). Needs h5py."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hcga.datasets.layouts.market1501 import FOLDERS
from hcga.errors import InputError
from hcga.files import fresh
from hcga.progress import track

NAME = re.compile(r"[1-9]\d*_0*[1-9]\d*_[12]_0*[1-9]\d*\.png")  # pair, person, view, column, from 1


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
            pairs = [file[reference] for reference in file[boxes][0]]
            for name in names:
                pair, person, view, column = (int(part) for part in name.removesuffix(".png").split("_"))
                image = file[pairs[pair - 1][column - 1, person - 1]][()]
                if image.ndim != 3 or image.dtype != np.uint8:
                    raise InputError(f"{archive}: no image {name} of {boxes}; is the protocol for other boxes?")
                yield view, np.ascontiguousarray(image.T)
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file; it is cuhk-03.mat of cuhk03_release.zip") from None
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{archive}: cannot be read as cuhk-03.mat ({error}); take it from the archive anew") from None


def _read_protocol(path: Path) -> tuple[list[str], list[int], dict[str, list[int]]]:
    """File names, identities, and places in both, from 1, of each split."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(str(path), appendmat=False)
        names = [str(np.asarray(cell).item()) for cell in content["filelist"].ravel()]
        labels = [int(label) for label in content["labels"].ravel()]
        places = {split: [int(place) for place in content[f"{split}_idx"].ravel()] for split in FOLDERS}
        odd = [name for name in names if not NAME.fullmatch(name)]
        if odd:
            raise ValueError(f"{odd[0]!r} is no name such as 1_002_2_08.png")
        listed = [place for split in places.values() for place in split]
        if min(listed) < 1 or max(listed) > min(len(names), len(labels)):
            raise ValueError(f"places {min(listed)} to {max(listed)} of {len(names)} names, {len(labels)} labels")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it comes with the code of Zhong et al., CUHK03-NP") from None
    except (OSError, LookupError, TypeError, ValueError, NotImplementedError, MatReadError, zlib.error) as error:
        raise InputError(
            f"{path}: no protocol of CUHK03-NP ({error}); a file saved from a web page may hold the page instead"
        ) from None
    return names, labels, places
