"""A trained model in use: embed crops of people, compare embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image

from hcga.ahead import load_ahead
from hcga.devices import choose_device, precision
from hcga.errors import InputError
from hcga.images import load_image
from hcga.network.checkpoints import load_described, save_model
from hcga.network.forward import environment_of
from hcga.network.inference import BATCH
from hcga.network.memory import refuse_large_images
from hcga.network.prnet import PRNet
from hcga.retrieval.similarity import similarity
from hcga.runs.environment import Environment
from hcga.runs.progress import track
from hcga.runs.revisions import find_place
from hcga.terms import WHOLE, Matched, cosines, match
from hcga.using.calibration import EVEN, Calibration
from hcga.using.card import NO_LICENCE, ModelCard, model_digest
from hcga.using.deployed import ONNX, PROGRAM, Deployed, write_deployed
from hcga.using.embedded import Embedded, join, nothing, of_network
from hcga.using.rounds import read_round
from hcga.wording import counted

SUFFIX = ".safetensors"
REMEDY = "`hcga model export ROUND -o FILE` in a checkout makes one"
CALIBRATE = "learn one with `hcga model export --calibrate` or `hcga model calibrate`"
OnBadImage = Literal["error", "skip"]


class Compared(NamedTuple):
    """How Q and G images compare."""

    similarity: np.ndarray  # (Q, G) float32; larger is more alike
    features: dict[str, np.ndarray]  # name to cosine, (Q, G) float32; nan where not both show the part


class Files(NamedTuple):
    """Image files and their embeddings."""

    files: list[Path]  # those that were embedded, in their order
    embedded: Embedded  # row by row theirs
    problems: list[str]  # of those that could not be decoded


class Batch(NamedTuple):
    """Embeddings of some files."""

    places: list[int]  # of those that could be decoded, among all that were given
    embedded: Embedded
    problems: dict[int, str]  # of those that could not


class Model:
    """A trained network with its card.

    Parameters
    ----------
    network : PRNet
        In eval mode, on the device to use.
    card : ModelCard

    Attributes
    ----------
    card : ModelCard
        `card.use.matching` says how embeddings are compared; another one may be put in its place with `model_copy`.
    digest : str
        Of what decides an embedding. Embeddings of models with different digests cannot be compared.
    """

    def __init__(self, network: PRNet, card: ModelCard) -> None:
        self._network, self.card = network, _as_saved(network, card)
        self.digest = str(self.card.use.digest)
        self._looked_at = 0  # images at once for which there is memory

    @classmethod
    def load(
        cls, source: str | Path, device: str = "auto", threads: int | None = None, licence: str = NO_LICENCE
    ) -> Model:
        """Load a model from its file, or from a round of the checkout in which this is called.

        Parameters
        ----------
        source : str or Path
            A file that `save` or `hcga model export` has written, or a place as text: `r3`, `HEAD:r3`,
            `my-experiment:r2`, or `HEAD~1` for its last round. What is a file is taken for one.
        device, threads
            See `hcga.devices.choose_device`.
        licence : str
            For the card of a model that comes from a checkout.

        Raises
        ------
        InputError
            There is no such file, round or device; the file does not fit its card; or model, figures and params of the
            round do not belong together.
        """
        path = Path(source)
        if path.suffix in (ONNX, PROGRAM):
            raise InputError(
                f"{path}: is for use without this program; give the {SUFFIX} file of the model, or its round"
            )
        if path.is_file() or path.suffix == SUFFIX or not isinstance(source, str):
            network, card = load_described(path, ModelCard, REMEDY)
            model = cls(network.to(choose_device(device, threads)), card)
            if card.use.digest != model.digest:
                raise InputError(f"{path}: damaged, its weights are not those that were written; {REMEDY}")
            return model
        try:
            network, card = read_round(Path(), find_place(Path(), source), licence)
        except InputError as error:
            raise InputError(f"{source}: no file, and as a round of a checkout: {error}") from None
        return cls(network.to(choose_device(device, threads)), card)

    def save(self, path: Path) -> None:
        """Write weights and card as one file, which `load` reads; equal models give equal bytes.

        The classifiers stay out: no embedding needs them, and they know each person of the training.
        """
        save_model(self._network, _as_saved(self._network, self.card), path)

    def deployed(self) -> Deployed:
        """Give what computes the outputs of an exported file, a module on the CPU, such as for `torch.compile`."""
        return Deployed(self._network, self.card)

    def export(self, path: Path) -> float:
        """Write what runs without this program, ONNX (.onnx) or PyTorch's ExportedProgram (.pt2).

        See `hcga.using.deployed.write_deployed` for what is returned and raised.
        """
        return write_deployed(self._network, self.card, self.digest, path)

    @property
    def environment(self) -> Environment:
        """Where it computes, which decides how vectors are rounded."""
        return environment_of(self._network)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.card.height, self.card.width

    def embed(self, crops: Sequence[np.ndarray] | np.ndarray) -> Embedded:
        """Embed crops of people.

        Parameters
        ----------
        crops : (N, H, W, 3) uint8, or a sequence of (H, W, 3) uint8
            RGB; each is resized to `size` as the pipeline does with image files. At least one.

        Returns
        -------
        Embedded

        Raises
        ------
        InputError
            A crop has another shape or type, or there is none.
        """
        for number, crop in enumerate(crops):
            if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
                raise InputError(
                    f"crop {number}: {crop.dtype} of shape {crop.shape}; give (H, W, 3) uint8, RGB from 0 to 255"
                )
        if not len(crops):
            raise InputError("no crops; give at least one")
        starts = range(0, len(crops), BATCH)
        return join([self._embed([self._fit(crop) for crop in crops[start : start + BATCH]]) for start in starts])

    def embed_files(self, files: Sequence[Path], on_bad_image: OnBadImage = "error") -> Files:
        """Embed image files.

        Parameters
        ----------
        files : sequence of Path
            At least one.
        on_bad_image : {'error', 'skip'}
            What to do with what cannot be decoded.

        Returns
        -------
        Files

        Raises
        ------
        InputError
            An image cannot be decoded, or with 'skip' none can.
        """
        batches = list(self.embed_in_batches(files, on_bad_image))
        kept = [files[place] for batch in batches for place in batch.places]
        problems = [problem for batch in batches for problem in batch.problems.values()]
        require_some(kept, problems)
        return Files(kept, join([batch.embedded for batch in batches]), problems)

    def embed_in_batches(self, files: Sequence[Path], on_bad_image: OnBadImage = "error") -> Iterator[Batch]:
        """Do as `embed_files`, but give batch after batch, so that memory does not grow with the number of files."""
        problems: dict[int, str] = {}

        def load(place: int) -> np.ndarray | None:
            try:
                return load_image(files[place], *self.size)
            except InputError as error:
                if on_bad_image == "error":
                    raise
                problems[place] = str(error)
                return None

        starts = [range(start, min(start + BATCH, len(files))) for start in range(0, len(files), BATCH)]
        with ThreadPoolExecutor() as pool:
            loaded = load_ahead(starts, lambda places: list(pool.map(load, places)))
            for places, images in track(loaded, "embedding", len(starts), "batch"):
                found = {place: image for place, image in zip(places, images, strict=True) if image is not None}
                told = {place: problems[place] for place in places if place in problems}
                yield Batch(list(found), self._embed(list(found.values())), told)

    def similarity(self, query: Embedded, gallery: Embedded) -> np.ndarray:
        """Compare as the evaluation does: Eq. (10), or what the card says. (Q, G) float32, larger is more alike."""
        matching = self.card.use.matching
        compared = (query.compared_by(matching), gallery.compared_by(matching))
        return similarity(*compared, matching.features, matching.similarity)

    def compare(self, query: Embedded, gallery: Embedded) -> Compared:
        """Compare as a whole and each feature by itself.

        Parameters
        ----------
        query, gallery : Embedded
            Of Q and G images.

        Returns
        -------
        Compared
            Its features are those that `card.use.matching.features` names: image, foreground, each part.
        """
        matching = self.card.use.matching
        of_query, of_gallery = query.compared_by(matching), gallery.compared_by(matching)
        features = cosines(of_query, of_gallery, matching.features)
        parts = (name for name in features if name not in WHOLE.values())
        for part, name in enumerate(parts):
            shared = np.outer(of_query.visible[:, part], of_gallery.visible[:, part])
            features[name] = np.where(shared > 0, features[name], np.float32("nan"))
        return Compared(self.similarity(query, gallery), features)

    @property
    def calibration(self) -> Calibration:
        """What similarities mean; `InputError` if this model has learnt none, or one of other similarities."""
        calibration = self.card.use.calibration
        if calibration is None:
            raise InputError("this model has no calibration, so its similarities give no probability; " + CALIBRATE)
        if calibration.matching != self.card.use.matching:
            raise InputError("this model was calibrated for other similarities than its card has now; " + CALIBRATE)
        return calibration

    def probability(self, query: Embedded, gallery: Embedded, prior: float = EVEN) -> np.ndarray:
        """Say how likely Q and G images show the same person.

        Parameters
        ----------
        query, gallery : Embedded
            Of Q and G images.
        prior : float
            How likely that is before one looks, in (0, 1): even odds, or for instance 1 / G if one of the gallery is
            the person.

        Returns
        -------
        (Q, G) float64

        Raises
        ------
        InputError
            The prior is not in (0, 1), or see `calibration`, which also gives the log-likelihood ratio and thresholds.
        """
        return self.calibration.probability(self.similarity(query, gallery), prior)

    def match(self, query: Embedded, gallery: Embedded) -> Matched:
        """Say of one query and each of G images which parts they show and what each feature adds to the similarity."""
        rows = join([query, gallery])
        return match(rows.compared_by(self.card.use.matching), rows.guided, self.card.use.matching)

    def _fit(self, crop: np.ndarray) -> np.ndarray:
        height, width = self.size
        return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR))

    def _embed(self, images: Sequence[np.ndarray]) -> Embedded:
        """Embed a batch, n of (H, W, 3) uint8 of the network's size."""
        if not images:
            return nothing(self.card.channels, self.card.part_classes)
        if len(images) > self._looked_at:
            refuse_large_images(self._network, len(images), self.size)
            self._looked_at = len(images)
        device, use = self._network.mean.device, self.card.use
        pixels = torch.from_numpy(np.stack(images)).to(device)
        with torch.inference_mode(), precision(device):
            embedded = of_network(self._network.embed(pixels, use.gam.t, **use.embed.model_dump()))
        if not all(np.isfinite(values).all() for values in embedded.arrays().values()):
            raise InputError("the model gives embeddings that are not finite: its training has diverged; use another")
        return embedded


def _as_saved(network: PRNet, card: ModelCard) -> ModelCard:
    """The card of a file: it has the digest of what decides an embedding, and says that there are no classifiers."""
    use = card.use.model_copy(update={"digest": model_digest(network.state_dict(), card)})
    return card.model_copy(update={"identities": 0, "use": use})


def require_some(kept: Sequence[object], problems: Sequence[str]) -> None:
    """Refuse to go on without any image that could be decoded."""
    if not kept:
        first = f", the first: {problems[0]}" if problems else ""
        raise InputError(f"none of {counted(len(problems), 'image')} can be decoded{first}")
