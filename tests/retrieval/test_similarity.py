"""Eq. (10) and the authors' variant: worked by hand, against a double loop, against the authors' numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcga.retrieval.similarity import FEATURES, VARIANTS, Embeddings, Similarities, similarity

GOLDEN = Path(__file__).parent.parent / "golden"


def random_embeddings(seed, images, parts=3, dim=5):
    """Make embeddings with every pattern of visibility, all-invisible and zero vectors included."""
    rng = np.random.default_rng(seed)
    made = Embeddings(
        rng.normal(size=(images, dim)).astype(np.float32),
        rng.normal(size=(images, dim)).astype(np.float32),
        rng.normal(size=(images, parts, dim)).astype(np.float32),
        (rng.random((images, parts)) < 0.6).astype(np.float32),
    )
    made.visible[0] = 0
    made.visible[1] = 1
    made.image[2], made.foreground[2], made.parts[2, 0] = 0, 0, 0
    made.visible[2, :1] = 1
    return made


def cosine(a, b):
    length = np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64))
    return float(a.astype(np.float64) @ b.astype(np.float64)) / length if length else 0.0


def similarity_by_loops(query, gallery, features, variant):
    """The definition, pair by pair, in float64."""
    result = np.empty((len(query), len(gallery)))
    for i in range(len(query)):
        for j in range(len(gallery)):
            whole = []
            if "I" in features:
                whole.append(cosine(query.image[i], gallery.image[j]))
            if "F" in features:
                whole.append(cosine(query.foreground[i], gallery.foreground[j]))
            shared = []
            if "P" in features:
                for p in range(query.parts.shape[1]):
                    if both := float(query.visible[i, p]) * float(gallery.visible[j, p]):
                        shared.append((both, cosine(query.parts[i, p], gallery.parts[j, p])))
            if variant == "authors":
                result[i, j] = sum((c + 1) / 2 for c in whole) + sum(both * (c + 1) / 2 for both, c in shared)
            elif whole or shared:
                terms = len(whole) + sum(both for both, _ in shared) * (0.5 if variant == "mean" else 1)
                result[i, j] = (sum(whole) + 0.5 * sum(both * c for both, c in shared)) / terms
            else:
                result[i, j] = 0
    return result


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("features", FEATURES)
def test_equals_the_definition_pair_by_pair(features, variant, soft):
    query, gallery = random_embeddings(1, 11), random_embeddings(2, 17)
    if soft:
        for made, seed in ((query, 3), (gallery, 4)):
            made.visible[:] *= np.random.default_rng(seed).random(made.visible.shape)
    result = similarity(query, gallery, features, variant)
    assert result.dtype == np.float32
    assert result.shape == (11, 17)
    np.testing.assert_allclose(result, similarity_by_loops(query, gallery, features, variant), atol=1e-6)


def hand_made():
    """One query and three gallery images in the plane, two parts.

    Cosines of query and gallery image 0, 1, 2: image 1, 0, -1; foreground 0.6, 1, 0;
    part 0: 1, -1, 0.8; part 1: 0, 0.6, 1. Query sees both parts; the images see both, part 0 only, neither.
    """
    query = Embeddings(np.float32([[2, 0]]), np.float32([[0, 3]]), np.float32([[[1, 0], [0, 1]]]), np.float32([[1, 1]]))
    gallery = Embeddings(
        np.float32([[5, 0], [0, 1], [-1, 0]]),
        np.float32([[4, 3], [0, 1], [1, 0]]),
        np.float32([[[7, 0], [1, 0]], [[-2, 0], [4, 3]], [[4, 3], [0, 1]]]),
        np.float32([[1, 1], [1, 0], [0, 0]]),
    )
    return query, gallery


@pytest.mark.parametrize(
    ("features", "variant", "expected"),
    [
        # Eq. (10): (0.6 + (1 + 0) / 2) / 3; (1 + (-1) / 2) / 2; 0 / 1
        ("F+P", "paper", [1.1 / 3, 0.25, 0.0]),
        # halves: (1 + 0) / 2 / 2; (-1) / 2 / 1; nothing shared
        ("P", "paper", [0.25, -0.5, 0.0]),
        # (1 + 0.6 + 1/2) / 4; (0 + 1 - 1/2) / 3; (-1 + 0) / 2
        ("I+F+P", "paper", [2.1 / 4, 0.5 / 3, -0.5]),
        ("I+F", "paper", [0.8, 0.5, -0.5]),
        # (1.6 + 2 + 1) / 2; (2 + 0) / 2; 1 / 2
        ("F+P", "authors", [2.3, 1.0, 0.5]),
        # (2 + 1) / 2; 0 / 2; nothing shared
        ("P", "authors", [1.5, 0.0, 0.0]),
        ("I", "authors", [1.0, 0.5, 0.0]),
        # (0.6 + (1 + 0) / 2) / 2; (1 - 1 / 2) / 1.5; 0 / 1
        ("F+P", "mean", [1.1 / 2, 0.5 / 1.5, 0.0]),
        # (1 + 0) / 2; -1 / 1; nothing shared
        ("P", "mean", [0.5, -1.0, 0.0]),
        ("I+F", "mean", [0.8, 0.5, -0.5]),
    ],
)
def test_hand_made_pairs(features, variant, expected):
    result = similarity(*hand_made(), features, variant)
    np.testing.assert_allclose(result, [expected], atol=1e-6)


def test_by_the_mean_nobody_loses_by_sharing_a_part():
    """With all cosines 0.8: Eq. (10) has 0.8 without a shared part, 0.5 with three."""
    angle = np.arccos(0.8)
    one, other = np.float32([[1, 0]]), np.float32([[np.cos(angle), np.sin(angle)]])
    query = Embeddings(one, one, np.float32([[[1, 0]] * 3]), np.float32([[1, 1, 1]]))
    gallery = Embeddings(
        *[np.repeat(other, 2, 0)] * 2, np.repeat(other[:, None], 3, 1).repeat(2, 0), np.float32([[0] * 3, [1] * 3])
    )
    np.testing.assert_allclose(similarity(query, gallery, "F+P", "paper"), [[0.8, 0.5]], atol=1e-6)
    np.testing.assert_allclose(similarity(query, gallery, "F+P", "mean"), [[0.8, 0.8]], atol=1e-6)


def test_default_is_equation_10():
    query, gallery = hand_made()
    np.testing.assert_array_equal(similarity(query, gallery), similarity(query, gallery, "F+P", "paper"))


@pytest.mark.parametrize("case", ["plain", "tricky", "none_visible"])
def test_authors_variant_equals_the_authors_code(case):
    """Origin: hcga_arm_score in tests/golden."""
    golden = np.load(GOLDEN / f"arm_{case}.npz")
    query, gallery = (
        Embeddings(golden[f"{s}_fore"], golden[f"{s}_fore"], golden[f"{s}_part"], np.float32(golden[f"{s}_visible"]))
        for s in "qg"
    )
    result = similarity(query, gallery, "F+P", "authors")
    np.testing.assert_allclose(result, golden["hcga_arm_score"], atol=2e-6)
    # ISP's score is the same over 1 + number of shared parts, the denominator of Eq. (10).
    shared = golden["q_visible"] @ golden["g_visible"].T
    np.testing.assert_allclose(result / (1 + shared), golden["isp_arm_score"], atol=2e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("features", FEATURES)
def test_lengths_of_vectors_and_content_of_invisible_parts_do_not_matter(features, variant):
    query, gallery = random_embeddings(3, 7), random_embeddings(4, 9)
    before = similarity(query, gallery, features, variant)
    factor = np.random.default_rng(5).uniform(0.1, 10, (9, 3, 1)).astype(np.float32)
    parts = np.where(gallery.visible[:, :, None] > 0, gallery.parts * factor, np.nan).astype(np.float32)
    scaled = replace(gallery, image=gallery.image * 3, foreground=gallery.foreground * 0.2, parts=parts)
    np.testing.assert_allclose(similarity(query, scaled, features, variant), before, atol=1e-6)


def test_order_of_images_and_of_parts_does_not_matter():
    query, gallery = random_embeddings(6, 7), random_embeddings(7, 9)
    rows, parts = np.random.default_rng(8).permutation(9), [2, 0, 1]
    before = similarity(query, gallery, "I+F+P")
    np.testing.assert_allclose(similarity(query, gallery.take(rows), "I+F+P"), before[:, rows], atol=1e-6)
    np.testing.assert_allclose(similarity(gallery, query, "I+F+P"), before.T, atol=1e-6)
    query, gallery = (replace(e, parts=e.parts[:, parts], visible=e.visible[:, parts]) for e in (query, gallery))
    np.testing.assert_allclose(similarity(query, gallery, "I+F+P"), before, atol=1e-6)


def test_without_parts_the_whole_vectors_decide():
    query, gallery = (
        replace(e, parts=e.parts[:, :0], visible=e.visible[:, :0])
        for e in (random_embeddings(9, 4), random_embeddings(10, 6))
    )
    np.testing.assert_array_equal(similarity(query, gallery, "F+P"), similarity(query, gallery, "F"))
    assert not similarity(query, gallery, "P").any()


def test_take_selects_rows_by_number_mask_and_slice():
    made = random_embeddings(11, 5)
    for rows in (np.array([3, 1]), np.array([False, True, False, True, False]), slice(1, 3)):
        taken = made.take(rows)
        for name in ("image", "foreground", "parts", "visible"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(made, name)[rows])
    assert len(made) == 5
    assert len(made.take(slice(0, 0))) == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("foreground", np.zeros((4, 5), np.float32), r"foreground has shape \(4, 5\).*ask for \(3, 5\)"),
        ("parts", np.zeros((3, 2, 6), np.float32), r"parts has shape \(3, 2, 6\).*ask for \(3, 2, 5\)"),
        ("visible", np.zeros((3, 3), np.float32), r"visible has shape \(3, 3\).*ask for \(3, 2\)"),
        ("visible", np.zeros((3, 2), int), "visible must be float32, not int64"),
        ("image", np.zeros((3, 5)), "image must be float32, not float64"),
        ("parts", np.zeros((3, 10), np.float32), "parts must have 3 dimensions, not 2"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(field, value, message):
    made = random_embeddings(12, 3, parts=2)
    with pytest.raises(ValueError, match=message):
        replace(made, **{field: value})


def test_bad_arguments_are_refused():
    made = random_embeddings(13, 4)
    with pytest.raises(ValueError, match=r"features must be one of F, P.*not 'P.F'"):
        similarity(made, made, features="P+F")
    with pytest.raises(ValueError, match="variant must be one of paper, authors, mean, not 'isp'"):
        similarity(made, made, variant="isp")
    with pytest.raises(ValueError, match=r"\(3, 5\) and \(2, 5\)"):
        similarity(made, random_embeddings(14, 4, parts=2))


@pytest.mark.parametrize("variant", VARIANTS)
def test_columns_are_those_of_some_gallery_images(variant):
    query, gallery = (random_embeddings(seed, count) for seed, count in ((0, 4), (1, 9)))
    whole = Similarities(query, gallery, "F+P", variant)
    values = whole[:]
    part = whole.columns(slice(3, 7))
    assert part.shape == (4, 4)
    np.testing.assert_allclose(part[1:3], values[1:3, 3:7], atol=1e-6)
    np.testing.assert_allclose(part.columns(slice(1, 2))[:], values[:, 4:5], atol=1e-6)
    np.testing.assert_array_equal(whole[:], values)
