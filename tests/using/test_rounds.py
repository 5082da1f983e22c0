"""A round as a model: what its card says, and what is not taken for a model with its figures."""

import json
from pathlib import Path

import pytest
import torch
from conftest import change
from ruamel.yaml import YAML
from safetensors import safe_open
from trained import ROUND, new_checkout, new_weights

from hcga.errors import InputError
from hcga.network.checkpoints import load_model, save_model
from hcga.runs.revisions import Place, Revision
from hcga.runs.workspace import Workspace
from hcga.using.card import ModelCard
from hcga.using.rounds import read_round

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)


def write_params(root: Path, changes: dict[str, object]) -> None:
    yaml = YAML(typ="safe")
    values = yaml.load(root / "params.yaml")
    change(values, changes)
    yaml.dump(values, root / "params.yaml")


def test_a_card_says_how_to_use_a_model_and_where_it_is_from(checkout: Path) -> None:
    network, card = read_round(checkout, ROUND, "for research")
    wanted, written = load_model(checkout / "data/models/r1.safetensors")
    assert torch.equal(network.parsing_head.weight, wanted.parsing_head.weight)
    assert card.model_dump(exclude={"use"}) == written.model_dump()
    use = card.use
    assert (use.gam.t, use.embed.binary, use.matching.features, use.matching.visibility) == (4, None, "F+P", "any")
    assert use.datasets["main"].model_dump() == {
        "layout": "synthetic",
        "splits": {
            "train": {"images": 3, "identities": 2},
            "query": {"images": 1, "identities": 1},
            "gallery": {"images": 1, "identities": 1},
        },
    }
    assert use.figures == {"epoch": 6, "skipped_images": 0, "retrieval_rank1": 43.21, "retrieval_mAP": 32.1}
    assert use.params
    assert set(use.params) == {"backbone", "image", "prepare", "coparse", "gam", "train", "rounds"}
    assert use.params["train"]["milestones"] == [13, 16]
    assert use.params["coparse"]["source"] == "hcnet"
    assert use.params["rounds"]["r1"] == {"prev": "init", "until_epoch": 6}
    assert (use.licence, use.round, use.initial_weights, use.code) == ("for research", "r1", "package", "unknown")


def test_a_file_of_weights_is_not_named_and_nobody_has_promised_a_licence(checkout: Path) -> None:
    write_params(checkout, {"backbone.weights": "/home/somebody/secret.pth"})
    text = read_round(checkout, ROUND)[1].model_dump_json()
    assert "somebody" not in text
    assert str(checkout) not in text
    assert '"initial_weights":"a file"' in text
    assert '"weights":"a file"' in text
    assert '"licence":"none was given' in text


def test_a_revision_is_named_by_its_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = Revision.__new__(Revision)
    Workspace.__init__(revision, checkout)
    revision.commit = "0123abcd"
    monkeypatch.setattr(Revision, "path", Workspace.path)
    monkeypatch.setattr("hcga.using.rounds.open_revision", lambda folder, rev: revision)
    assert read_round(checkout, Place("HEAD", "r1"))[1].use.code == "commit 0123abcd"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gam.t", 2),
        ("embed.binary", 1),
        ("evaluate.features", "I+F+P"),
        ("train.erasing", 0.0),
        ("prepare.validation", 0.5),
    ],
)
def test_figures_of_other_params_are_refused(checkout: Path, field: str, value: object) -> None:
    write_params(checkout, {field: value})
    with pytest.raises(InputError, match=r"^workspace:r1: .* of an earlier run.*`dvc repro evaluate@r1`"):
        read_round(checkout, ROUND)


@pytest.mark.parametrize("name", ["data/models/r1.safetensors", "data/metrics/r1.json", "data/samples.csv"])
def test_what_dvc_lock_does_not_have_is_refused(checkout: Path, name: str) -> None:
    """As while a round is trained again, or after `git checkout` without `dvc checkout`."""
    if name.endswith(".safetensors"):
        network, card = load_model(checkout / name)
        save_model(network, card.model_copy(update={"seed": 2}), checkout / name)
    else:
        (checkout / name).write_text((checkout / name).read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(InputError, match=f"^{name}: is not what dvc.lock says that its stage has written"):
        read_round(checkout, ROUND)
    (checkout / "dvc.lock").unlink()
    with pytest.raises(InputError, match=r"^data/models/r1.safetensors: is not in dvc.lock"):
        read_round(checkout, ROUND)


def test_a_model_that_was_trained_for_other_epochs_is_refused(checkout: Path) -> None:
    write_params(checkout, {"rounds.r1.until_epoch": 5})
    with pytest.raises(InputError, match=r"params.yaml has epoch 5, the model 6, its figures 6"):
        read_round(checkout, ROUND)


def test_a_round_without_figures_or_model_is_refused(checkout: Path) -> None:
    with pytest.raises(InputError, match=r"r2.json: no figures of this round yet"):
        read_round(checkout, Place("workspace", "r2"))
    with pytest.raises(InputError, match=r"no round 'r9' in params.yaml; known: r1, r2, r3"):
        read_round(checkout, Place("workspace", "r9"))
    (checkout / "data/models/r1.safetensors").unlink()
    with pytest.raises(InputError, match=r"r1.safetensors: cannot be read .*`dvc repro` makes it"):
        read_round(checkout, ROUND)


def test_the_card_of_stage_train_is_as_it_was(weights: Path) -> None:
    with safe_open(weights, framework="pt") as file:
        assert "use" not in json.loads(file.metadata()["hcga"])
    assert "use" in ModelCard.model_fields
