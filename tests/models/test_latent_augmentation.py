from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.latent_augmentation import LATENT_AUGMENTATIONS, minority_classes
from models.latent_augmentation.latent_augmentation import LatentAugmentation, Mixing
from models.latent_augmentation.modules.mixup import partners
from models.latent_augmentation.modules.noise import with_noise
from models.network import Network
from utils.errors import UserError

CLASSES = 4
NAMES = [name for name in LATENT_AUGMENTATIONS if name != "none"]
MIXING_NAMES = [name for name in NAMES if name != "noise"]

names = st.sampled_from(NAMES)
labels_of_batches = st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=12).map(torch.tensor)
minorities = st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES).map(torch.tensor)
seeds = st.integers(0, 2**31)


def build(name: str, **options: object) -> LatentAugmentation:
    module = LATENT_AUGMENTATIONS[name](**LATENT_AUGMENTATIONS.check(name, {"probability": 1.0, **options}))
    assert module is not None
    return module.train()


def features(labels: torch.Tensor, size: tuple[int, int] = (2, 3), seed: int = 0) -> torch.Tensor:
    return torch.randn(len(labels), 5, *size, generator=torch.Generator().manual_seed(seed))


@given(name=names, labels=labels_of_batches, minority=minorities, seed=seeds, probability=st.sampled_from([0.3, 1.0]))
def test_it_changes_the_minority_only_and_mixes_within_a_class_only(
    name: str, labels: torch.Tensor, minority: torch.Tensor, seed: int, probability: float
) -> None:
    torch.manual_seed(seed)
    feature = features(labels)
    original = feature.clone()
    output, mixing = build(name, probability=probability)(feature, labels, minority)
    assert torch.equal(feature, original), "the input is the network's and not to be written to"
    assert torch.equal(labels[mixing.partner], labels)
    assert ((mixing.weight >= 0) & (mixing.weight <= 1)).all()
    others = ~minority[labels]
    assert torch.equal(output[others], feature[others])
    assert torch.equal(mixing.partner[others], torch.arange(len(labels))[others])
    alone = mixing.partner == torch.arange(len(labels))
    assert (mixing.weight[alone] == 1).all()
    assert output.isfinite().all()


@given(name=names, labels=labels_of_batches, minority=minorities, seed=seeds)
def test_in_eval_mode_it_does_and_draws_nothing(
    name: str, labels: torch.Tensor, minority: torch.Tensor, seed: int
) -> None:
    torch.manual_seed(seed)
    state = torch.get_rng_state()
    feature = features(labels)
    output, mixing = build(name).eval()(feature, labels, minority)
    assert output is feature
    assert mixing.partner.tolist() == list(range(len(labels)))
    assert mixing.weight.tolist() == [1.0] * len(labels)
    assert torch.equal(torch.get_rng_state(), state)


@given(name=names, labels=labels_of_batches, seed=seeds)
def test_a_batch_without_the_minority_stays_as_it_is(name: str, labels: torch.Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    feature = features(labels)
    output, mixing = build(name)(feature, labels, torch.zeros(CLASSES, dtype=torch.bool))
    assert torch.equal(output, feature)
    assert torch.equal(mixing.mix(feature), feature)


@given(labels=labels_of_batches, seed=seeds)
def test_with_certainty_every_sample_with_company_is_mixed(labels: torch.Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    _, mixing = build("intra_class_mixup")(features(labels), labels, torch.ones(CLASSES, dtype=torch.bool))
    company = torch.tensor([labels.tolist().count(label) > 1 for label in labels.tolist()])
    assert torch.equal(mixing.partner != torch.arange(len(labels)), company)


@given(labels=labels_of_batches, seed=seeds)
def test_mixing_masks_is_the_formula(labels: torch.Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    masks = (torch.rand(len(labels), 1, 4, 3) < 0.5).float()
    _, mixing = build("both")(features(labels), labels, torch.ones(CLASSES, dtype=torch.bool))
    mixed = mixing.mix(masks)
    for row, (partner, weight) in enumerate(zip(mixing.partner.tolist(), mixing.weight.tolist(), strict=True)):
        assert torch.allclose(mixed[row], weight * masks[row] + (1 - weight) * masks[partner])
    assert torch.allclose(mixing.mix(masks.to(torch.uint8)), mixed), "weights are no integers, whatever masks are"
    assert torch.allclose(mixing.mix(masks.bool()), mixed)
    assert mixing.mix(masks.bfloat16()).dtype == torch.bfloat16


def test_unmixed_rows_survive_even_what_cannot_be_multiplied() -> None:
    mixing = Mixing(torch.tensor([0, 2, 1]), torch.tensor([1.0, 0.25, 0.5]))
    values = torch.tensor([[-torch.inf, -0.0], [0.0, 4.0], [8.0, 0.0]])
    mixed = mixing.mix(values)
    assert mixed[0].tolist() == [-torch.inf, 0.0]
    assert mixed[1:].tolist() == [[6.0, 1.0], [4.0, 2.0]]


def test_mixup_gives_what_its_mixing_says_and_gradients_to_both_partners() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 1, 0])
    feature = features(labels).requires_grad_()
    output, mixing = build("intra_class_mixup")(feature, labels, torch.tensor([False, True]))
    assert mixing.partner.tolist() == [0, 2, 1, 3]
    assert torch.allclose(output, mixing.mix(feature))
    output[1].sum().backward()
    weight = float(mixing.weight[1])
    assert 0 < weight < 1
    assert torch.allclose(feature.grad[1], torch.full_like(feature[1], weight))
    assert torch.allclose(feature.grad[2], torch.full_like(feature[2], 1 - weight))
    assert not feature.grad[0].any()


@pytest.mark.parametrize("name", MIXING_NAMES)
def test_a_class_with_one_sample_gets_noise(name: str) -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 1])
    feature = features(labels, size=(16, 16))
    output, mixing = build(name, strength=0.5)(feature, labels, torch.tensor([True, False]))
    assert mixing.partner.tolist() == [0, 1, 2]
    assert torch.equal(output[1:], feature[1:])
    noise = output[0] - feature[0]
    assert float(noise.std() / feature[0].std()) == pytest.approx(0.5, rel=0.1)


def test_both_is_mixup_and_noise_on_top() -> None:
    labels = torch.tensor([0, 0, 1])
    feature, minority = features(labels, size=(16, 16)), torch.tensor([True, False])
    torch.manual_seed(5)
    mixed, mixing = build("intra_class_mixup")(feature, labels, minority)
    torch.manual_seed(5)
    noisy, same = build("both", strength=0.2)(feature, labels, minority)
    assert torch.equal(mixing.weight, same.weight)
    for row in (0, 1):
        assert float((noisy - mixed)[row].std() / mixed[row].std()) == pytest.approx(0.2, rel=0.1)
    assert torch.equal(noisy[2], feature[2])


def test_noise_follows_each_samples_own_deviation() -> None:
    torch.manual_seed(0)
    feature = torch.randn(3, 64, 8, 8) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1, 1) + 7
    noise = with_noise(feature, torch.tensor([True, True, True]), strength=0.3) - feature
    ratio = noise.std(dim=(1, 2, 3)) / feature.std(dim=(1, 2, 3))
    assert ratio.tolist() == pytest.approx([0.3] * 3, rel=0.05)
    assert float(noise[1].mean()) == pytest.approx(0, abs=0.02)
    single = with_noise(torch.randn(2, 64, 1, 1), torch.tensor([True, True]), strength=0.3)
    assert single.isfinite().all()
    flat = torch.full((1, 4, 2, 2), 5.0)
    assert torch.equal(with_noise(flat, torch.tensor([True]), strength=0.3), flat)


def test_partners_are_drawn_evenly_from_the_class() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 0, 0, 2])
    drawn = torch.stack([partners(labels)[0] for _ in range(600)])
    shares = [float((drawn[:, 0] == other).float().mean()) for other in (1, 3, 4)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.07)
    assert partners(labels)[1].tolist() == [True, True, False, True, True, False]


@pytest.mark.parametrize("alpha", [0.05, 1.0, 100.0])
def test_weights_are_of_the_beta_distribution(alpha: float) -> None:
    torch.manual_seed(0)
    labels = torch.zeros(2000, dtype=torch.int64)
    _, mixing = build("intra_class_mixup", alpha=alpha)(torch.randn(2000, 1, 1, 1), labels, torch.tensor([True]))
    assert float(mixing.weight.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(mixing.weight.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_probability_is_the_share_of_augmented_samples() -> None:
    torch.manual_seed(0)
    labels = torch.zeros(4000, dtype=torch.int64)
    feature = torch.randn(4000, 2, 1, 1)
    output, _ = build("noise", probability=0.25)(feature, labels, torch.tensor([True]))
    assert float((output != feature).any(dim=1).float().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_answer_and_as_many_draws_whoever_is_in_the_batch(name: str) -> None:
    module = build(name)
    answers, states = [], []
    for labels in (torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]), torch.tensor([1, 1, 1])):
        torch.manual_seed(3)
        answers.append(module(features(labels), labels, torch.tensor([True, False]))[0])
        states.append(torch.get_rng_state())
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(states[0], states[2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_works_in_half_precision_and_on_channels_last(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 2, 2])
    minority = torch.tensor([True, True, False])
    feature = (torch.randn(5, 8, 4, 4) * 100).to(dtype).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=dtype):
        output, _ = build(name)(feature, labels, minority)
    assert output.dtype == dtype
    assert output.isfinite().all()
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(output[3:], feature[3:])
    assert (output[:3] != feature[:3]).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("feeds", ["head", "decoder"])
def test_in_the_network_it_reaches_those_whom_it_feeds(name: str, feeds: str) -> None:
    torch.manual_seed(0)
    options = LATENT_AUGMENTATIONS.check(name, {"feeds": feeds, "probability": 1.0})
    network = Network("shufflenet_v2_x0_5", classification_head=("pooled", {"dropout": 0.0})).train()
    augmented = Network(
        "shufflenet_v2_x0_5", classification_head=("pooled", {"dropout": 0.0}), latent_augmentation=(name, options)
    ).train()
    augmented.load_state_dict(network.state_dict())
    augmented.minority[1] = True
    images, labels = torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 1, 0])
    plain, output = network(images), augmented(images, labels)
    assert torch.equal(output.labels[[0, 3]], plain.labels[[0, 3]])
    assert not torch.isclose(output.labels[[1, 2]], plain.labels[[1, 2]]).all()
    assert torch.equal(output.masks, plain.masks) == (feeds == "head")
    assert (output.mixing is None) == (feeds == "head")
    if output.mixing is not None:
        assert output.mixing.partner.tolist() == ([0, 1, 2, 3] if name == "noise" else [0, 2, 1, 3])
    (output.masks.square().mean() + output.labels.square().mean()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in augmented.parameters())


def test_the_minority_has_fewer_cases_than_an_equal_share() -> None:
    assert minority_classes([437, 210, 133], ["benign", "malignant", "normal"]) == [False, True, True]
    assert minority_classes([5, 5, 5], ["a", "b", "c"]) == [False, False, False]
    assert minority_classes([6, 3, 0], ["a", "b", "c"]) == [False, True, False]
    assert minority_classes([0, 0], ["a", "b"]) == [False, False]
    assert minority_classes([7], ["a"]) == [False]


@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=6))
@settings(max_examples=50)
def test_the_largest_class_is_never_the_minority(counts: list[int]) -> None:
    minority = minority_classes(counts, [str(number) for number in range(len(counts))])
    largest = max(counts)
    assert not any(chosen for chosen, count in zip(minority, counts, strict=True) if count == largest)
    present = [count for count in counts if count]
    smallest = [chosen for chosen, count in zip(minority, counts, strict=True) if present and count == min(present)]
    assert all(smallest) == (min(present) < largest if present else True)


def test_chosen_classes_are_taken_as_named_and_unknown_ones_reported_at_once() -> None:
    names = ["benign", "malignant", "normal"]
    assert minority_classes([1, 2, 3], names, ("normal", "benign")) == [True, False, True]
    with pytest.raises(UserError) as caught:
        minority_classes([1, 2, 3], names, ("malignent", "normal", "cyst"))
    first, second = caught.value.problems
    assert (first.where, first.value, first.nearest) == ("model.latent_augmentation", "malignent", "malignant")
    assert (second.value, second.choices) == ("cyst", tuple(names))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options", [{"strength": 0}, {"probability": 1.5}, {"classes": []}, {"feeds": "both"}, {"sigma": 1}]
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LATENT_AUGMENTATIONS.check(name, options)


def test_noise_has_no_alpha_and_mixup_wants_a_positive_one() -> None:
    for name, alpha in [("noise", 1.0), ("intra_class_mixup", 0.0), ("both", -1.0)]:
        with pytest.raises(ValidationError):
            LATENT_AUGMENTATIONS.check(name, {"alpha": alpha})
