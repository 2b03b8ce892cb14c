"""The loss of a run, and what a run's settings make of the network's forms of answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from experiments.sweep import TrainingSettings
from experiments.training.loss import RunLoss, mask_targets
from models.latent_augmentation.latent_augmentation import Mixing
from models.network import Output, foreground_of
from utils.splits.folds import Fold


def loss(channels: int = 1, **training: Any) -> RunLoss:
    return RunLoss(TrainingSettings.model_validate(training), channels, [3, 2, 1])


def random_masks(cases: int = 4) -> torch.Tensor:
    return (torch.rand(cases, 1, 8, 8) > 0.6).float()


def test_lesions_have_the_channel_of_their_diagnosis_and_the_rest_is_background() -> None:
    masks, labels = random_masks(), torch.tensor([0, 2, 1, 2])
    targets = mask_targets(masks, labels, 4)
    assert targets.shape == (4, 4, 8, 8)
    assert torch.equal(targets.sum(dim=1), torch.ones(4, 8, 8))
    assert torch.equal(targets[:, :1], 1 - masks)
    for case, label in enumerate(labels.tolist()):
        assert torch.equal(targets[case, label + 1], masks[case, 0])
    assert mask_targets(masks, labels, 1) is masks


def test_masks_and_diagnosis_are_added_with_the_weight_of_the_diagnosis() -> None:
    torch.manual_seed(0)
    masks, labels = random_masks(), torch.tensor([0, 2, 1, 2])
    output = Output(torch.randn(4, 1, 8, 8), torch.randn(4, 3))
    bce = F.binary_cross_entropy_with_logits(output.masks, masks)
    entropy = F.cross_entropy(output.labels, labels)
    both = loss(segmentation_loss="bce", classification_weight=0.7)(output, masks, labels)
    assert both.item() == pytest.approx((bce + 0.7 * entropy).item(), rel=1e-6)
    assert loss(segmentation_loss="bce")(Output(output.masks, None), masks, labels).item() == pytest.approx(bce.item())


def test_masks_are_mixed_as_the_features_that_the_decoder_saw() -> None:
    torch.manual_seed(0)
    masks, labels = random_masks(2), torch.tensor([1, 1])
    mixing = Mixing(torch.tensor([1, 1]), torch.tensor([0.25, 1.0]))
    output = Output(torch.randn(2, 1, 8, 8), None, (), mixing)
    mixed = torch.stack([0.25 * masks[0] + 0.75 * masks[1], masks[1]])
    expected = F.binary_cross_entropy_with_logits(output.masks, mixed)
    assert loss(segmentation_loss="bce")(output, masks, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_coarser_outputs_weigh_half_of_the_next_finer() -> None:
    torch.manual_seed(0)
    masks, labels = random_masks(), torch.tensor([0, 2, 1, 2])
    outputs = [torch.randn(4, 1, 8, 8) for _ in range(3)]
    fine, coarse = outputs[2], tuple(outputs[:2])
    values = [F.binary_cross_entropy_with_logits(each, masks) for each in outputs]
    expected = (1 * values[0] + 2 * values[1] + 4 * values[2]) / 7
    found = loss(segmentation_loss="bce")(Output(fine, None, coarse), masks, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_probability_of_any_lesion_is_what_the_background_leaves() -> None:
    masks = torch.randn(2, 4, 5, 5)
    assert torch.allclose(foreground_of(masks).sigmoid()[:, 0], 1 - masks.softmax(dim=1)[:, 0], atol=1e-6)


FORMS = {
    "a channel for each diagnosis": {"model.segmentation_head": "multiclass"},
    "deep supervision": {
        "model.decoder": {"attention_unet": {"channels": [16] * 5}},
        "model.attention": "ag",
        "model.deep_supervision": True,
    },
    "features mixed for the head": {"model.latent_augmentation": {"both": {"probability": 1.0}}},
    "features mixed for the decoder": {
        "model.latent_augmentation": {"intra_class_mixup": {"probability": 1.0, "feeds": "decoder"}},
        "model.segmentation_head": "multiclass",
    },
    "balanced draws": {"training.sampler": "balanced", "training.classification_loss": "logit_adjustment"},
    "a diagnosis from the mask": {"model.classification_head": "masked"},
    "two losses": {"training.segmentation_loss": {"lovasz": 1, "boundary": 0.1}},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", FORMS.values(), ids=FORMS)
def test_a_run_of_every_form_learns_and_goes_on_as_if_undisturbed(
    bench: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    spec = bench.spec(tmp_path / "whole", {"training.epochs": 3, **changes})
    whole = bench.train(spec)
    cut = bench.spec(tmp_path / "cut", {"training.epochs": 3, **changes})
    bench.open(cut).step()
    resumed = bench.train(cut)
    assert len(resumed.history) == 3
    losses = [epoch.train_loss for epoch in whole.history]
    assert [epoch.train_loss for epoch in resumed.history] == losses
    assert losses[-1] < losses[0]
    state, other = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_where_all_classes_are_equally_frequent_nothing_is_augmented_and_the_record_says_so(
    bench: Any, tmp_path: Path
) -> None:
    two_of_each = [
        case
        for label in ("benign", "malignant", "normal")
        for case in [case for case in bench.fold.train if case.startswith(label)][:2]
    ]
    fold = Fold(0, tuple(sorted(two_of_each)), bench.fold.validation, bench.fold.test)
    run = bench.open(bench.spec(tmp_path, {"model.latent_augmentation": "noise"}), fold)
    assert run.adjustments == ["no class is a minority in training: no latent augmentation"]
    usual = bench.open(bench.spec(tmp_path, {"model.latent_augmentation": "noise"}))
    assert usual.adjustments == []
    assert usual.network.minority.tolist() == [False, True, True]
