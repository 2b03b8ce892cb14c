"""Does the toolkit train as well as a plain script? The same recipe in PyTorch and smp, without the toolkit.
    python tests/benchmarks/parity.py --results results --sweep busi_mini --root DATA [--encoder resnet18]
Of every finished run (the recipe of sweeps/defaults.yaml without pretrained weights) it reads settings, seed and split,
trains for itself from the PNG files, and compares the test Dice. It imports nothing from utils, models or experiments.
"""

import argparse
import csv
import hashlib
import json
import random
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch

CLASSES, PARTS = ["benign", "malignant", "normal"], ["train", "validation", "test"]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def seed_for(*parts):
    text = json.dumps(list(parts), separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def read_case(root, case, size):
    """Image and mask at the network's size, label, and the mask as drawn."""
    image = cv2.imread(str(root / f"{case}.png"), cv2.IMREAD_GRAYSCALE)
    folder, stem = (root / case).parent, Path(case).name
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0 for path in folder.glob(f"{stem}_mask*.png")]
    mask = np.logical_or.reduce(masks)
    image = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(cv2.medianBlur(image, 3))
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    small = cv2.resize(mask * np.uint8(255), (size, size), interpolation=cv2.INTER_AREA)
    small = (small >= min(128, max(int(small.max()), 1))).astype(np.uint8)
    return image, small, CLASSES.index(case.split("/")[0]), mask


def augment(image, mask, seed):
    draw = random.Random(seed)
    numbers = np.random.Generator(np.random.PCG64(0))
    draw.getrandbits(128), draw.getrandbits(128)  # the toolkit seeds numpy's generator with these
    draw.random()
    if draw.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    centre = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    for degrees, shift, scale in ((15.0, 0.0, 0.0), (0.0, 0.05, 0.1)):
        if draw.random() < 0.5:
            matrix = cv2.getRotationMatrix2D(centre, draw.uniform(-degrees, degrees), 1 + draw.uniform(-scale, scale))
            matrix[0, 2] += draw.uniform(-shift, shift) * image.shape[1]
            matrix[1, 2] += draw.uniform(-shift, shift) * image.shape[0]
            image = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR)
            mask = cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    contrast = A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5)
    contrast.set_random_state(numbers, draw)
    return contrast(image=np.ascontiguousarray(image))["image"], mask


def tensors(samples):
    images = torch.from_numpy(np.stack([s[0] for s in samples]))[:, None].float() / 255
    masks = torch.from_numpy(np.stack([np.ascontiguousarray(s[1]) for s in samples]))[:, None].float()
    return (images.expand(-1, 3, -1, -1) - MEAN) / STD, masks, torch.tensor([s[2] for s in samples])


def dice(prediction, truth):
    return 2 * (prediction & truth).sum() / (prediction.sum() + truth.sum()) if truth.any() else float("nan")


@torch.no_grad()
def mean_dice(network, data, cases, batch, native):
    network.eval()
    scores = []
    for start in range(0, len(cases), batch):
        samples = [data[case] for case in cases[start : start + batch]]
        maps = network(tensors(samples)[0])[0].sigmoid()[:, 0].numpy()
        for probability, (_, small, _, drawn) in zip(maps, samples, strict=True):
            if native:
                probability = cv2.resize(probability, drawn.shape[::-1], interpolation=cv2.INTER_LINEAR)
            scores.append(dice(probability > 0.5, drawn if native else small > 0))
    return float(np.nanmean(scores))


def train(record, data, parts):
    settings, seed = record["settings"]["training"], record["seed"]
    torch.manual_seed(seed_for(seed, "initialisation"))
    encoder, head = record["settings"]["model"]["encoder"], {"pooling": "avg", "dropout": 0.2, "classes": len(CLASSES)}
    network = smp.Unet(encoder, encoder_weights=None, aux_params=head).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["epochs"])
    dice_loss, bce = smp.losses.DiceLoss("binary", smooth=0.0), smp.losses.SoftBCEWithLogitsLoss(ignore_index=None)
    cases, batch, best, best_epoch, weights = parts["train"], settings["batch_size"], -1.0, 0, None
    for epoch in range(1, settings["epochs"] + 1):
        torch.manual_seed(seed_for(seed, "epoch", epoch))
        network.train()
        order = np.random.default_rng(seed_for(seed, "order", epoch)).permutation(len(cases))
        for start in range(0, len(order), batch):
            names = [cases[index] for index in order[start : start + batch]]
            seeds = [seed_for(seed, "augmentation", epoch, name) for name in names]
            samples = [(*augment(*data[name][:2], s), data[name][2]) for name, s in zip(names, seeds, strict=True)]
            images, masks, labels = tensors(samples)
            optimizer.zero_grad()
            logits, classes = network(images)
            loss = 0.5 * dice_loss(logits, masks) + 0.5 * bce(logits, masks)
            (loss + 0.5 * torch.nn.functional.cross_entropy(classes, labels)).backward()
            optimizer.step()
        schedule.step()
        score = mean_dice(network, data, parts["validation"], batch, native=False)
        if score > best:
            best, best_epoch = score, epoch
            weights = {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best_epoch >= settings["early_stopping"]["patience"]:
            break
    network.load_state_dict(weights)
    return mean_dice(network, data, parts["test"], batch, native=True), best_epoch


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--results", type=Path, default=Path("results"))
    options.add_argument("--sweep", required=True)
    options.add_argument("--root", type=Path, required=True)
    options.add_argument("--encoder")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    worst, runs = 0.0, chosen.results / "runs" / chosen.sweep
    for path in sorted(runs.glob("*/fold-*/record.json")):
        record = json.loads(path.read_text())
        encoder, fold = record["settings"]["model"]["encoder"], record["fold"]
        if encoder != (chosen.encoder or encoder):
            continue
        with (runs / "splits" / f"{record['split']}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if int(row["fold"]) == fold]
        size = record["settings"]["dataset"]["image_size"]
        data = {row["case"]: read_case(chosen.root, row["case"], size) for row in rows}
        names = {part: sorted(row["case"] for row in rows if row["part"] == part) for part in PARTS}
        plain, epoch = train(record, data, names)
        ours, best = record["metrics"]["dice"], record["best_epoch"]
        worst = max(worst, abs(plain - ours))
        print(
            f"{encoder} fold {fold}: toolkit {ours:.6f} (epoch {best}), plain {plain:.6f} (epoch {epoch})", flush=True
        )
    print(f"largest difference {worst:.6f}: {'agrees' if worst <= 0.01 else 'DIFFERS'} within 0.01 per fold")


if __name__ == "__main__":
    main()
