"""The settings of a configuration: what is trained, on what, how, and what counts as better.

Every field has a default, so that a sweep file says only what matters to its question. Values are
strict: ``"16"`` is no number, ``1.5`` no count; both are reported rather than guessed at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from experiments.sweep.schema.combination import Combinable
from experiments.sweep.schema.encoder_part import KnownEncoder
from experiments.sweep.schema.part import Part, Registered, RegisteredOptions
from utils.errors import nearest


class Section(BaseModel):
    """Base of every mapping in a sweep file: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


_WORDS = {"yes": True, "on": True, "no": False, "off": False}


def _switch(value: Any) -> Any:
    # YAML 1.1 reads these words as booleans and YAML 1.2 as text; where a switch is asked for, both mean the same.
    return _WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _head(value: Any) -> Any:
    # Whether there is one at all is the question that most sweep files answer.
    value = _switch(value)
    return {True: "pooled", False: "none"}[value] if isinstance(value, bool) else value


def _path(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise PydanticCustomError("path", "must be a path; leave the key out where there is none")
    return Path(value) if isinstance(value, str) else value


def _folds_from(value: Any) -> Any:
    if isinstance(value, str) and value in FOLDS_OF_DATA:
        return value
    path = _path(value)
    # A file of that name would be taken for the word where settings are read again.
    if not isinstance(path, Path) or str(path) in FOLDS_OF_DATA:
        raise PydanticCustomError("path", f"must be the path of a CSV, or {' or '.join(FOLDS_OF_DATA)}")
    return path


def _image_size(value: Any) -> Any:
    sides = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(sides) != 2 or any(type(side) is not int or not 8 <= side <= 8192 for side in sides):
        raise PydanticCustomError("image_size", "must be a side or [height, width], each 8 to 8192 pixels")
    return sides[0] if sides[0] == sides[1] else tuple(sides)


def _as_yaml(size: int | tuple[int, int]) -> int | list[int]:
    return size if isinstance(size, int) else list(size)


def _weights(value: Any) -> Any:
    words = ("imagenet", "none")
    if isinstance(value, str) and value not in words and not any(mark in value for mark in "./\\"):
        choices = (*words, "<a path, such as weights/encoder.pt>")
        context = {"choices": choices, "nearest": nearest(value, words)}
        raise PydanticCustomError("unknown_name", "no such weights", context)
    return value


Switch = Annotated[bool, BeforeValidator(_switch)]
PathField = Annotated[
    Path, Field(strict=False), BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})
]
FOLDS_OF_DATA = ("source", "split")
"""Folds that the data themselves name."""

FoldsFrom = Annotated[
    Path | Literal["source", "split"],
    PlainValidator(_folds_from),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": list(FOLDS_OF_DATA)}, {"type": "string", "minLength": 1}]}),
]
_SIDE = {"type": "integer", "minimum": 8, "maximum": 8192}
ImageSize = Annotated[
    int | tuple[int, int],
    # Replaces pydantic's own check of the union, which would report one mistake twice.
    PlainValidator(_image_size),
    PlainSerializer(_as_yaml, when_used="json"),
    WithJsonSchema({"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}),
]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
PreprocessingPart = Annotated[Part, Registered("utils.images.preprocessing", "PREPROCESSING")]
AugmentationPart = Annotated[Part, Registered("utils.images.augmentation", "AUGMENTATION")]
Decoder = Annotated[Part, Registered("models.decoders", "DECODERS")]
Bottleneck = Annotated[Part, Registered("models.bottlenecks", "BOTTLENECKS")]
SegmentationLoss = Annotated[Part, Combinable("utils.losses", "SEGMENTATION_LOSSES")]
ClassificationLoss = Annotated[Part, Registered("utils.losses", "CLASSIFICATION_LOSSES")]
Encoder = Annotated[Part, KnownEncoder()]
Attention = Annotated[Part, Registered("models.attention", "ATTENTION")]
LatentAugmentation = Annotated[Part, Registered("models.latent_augmentation", "LATENT_AUGMENTATIONS")]
MetricOptions = Annotated[dict[str, dict[str, Any]], RegisteredOptions("utils.metrics", "METRICS")]
ClassificationHead = Annotated[Part, BeforeValidator(_head), Registered("models.heads", "CLASSIFICATION_HEADS")]


class DatasetSettings(Section):
    """Where the cases come from and what is done once to every image."""

    name: Annotated[str, Registered("utils.datasets", "DATASETS")] = "busi"
    """The dataset; naming another one than the base file does starts `root` and `options` afresh."""
    root: PathField | None = None
    """Its folder, relative to where the command is run; datasets that make their images need none."""
    image_size: ImageSize = 256
    """Pixels of a side of the network's input, or [height, width]."""
    preprocessing: Annotated[tuple[PreprocessingPart, ...], Field(strict=False)] = ()
    """Steps applied once to every image at its own resolution, in this order."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do about cases that the audit finds unusable."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The dataset's own options."""

    @property
    def height_width(self) -> tuple[int, int]:
        """Pixels (height, width) of the network's input."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size


class FoldSettings(Section):
    """How the cases are split; no group of cases is ever on two sides."""

    k: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of folds; 1 is a single holdout, which needs `test`."""
    seed: Seed = 42
    """Seed of the split."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of each training part that steers training (early stopping, the choice of a checkpoint)."""
    test: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of all cases that is tested, for k: 1 only."""
    group: Literal["near_duplicates", "patient", "none"] = "near_duplicates"
    """What stays together: near-copies, and patients where the dataset names them; the patients alone; or nothing."""
    use: Annotated[int, Field(ge=1)] | None = None
    """How many of the k folds are run; the others can follow later."""
    from_file: FoldsFrom | None = Field(default=None, alias="from")
    """A CSV of columns case, fold, part that says it all, in place of k, test and validation; or, of data that know
    it, source: each source (hospital, joined dataset) is tested by what was trained on the others; or split: the
    training, validation and test parts of the data's own."""


class ModelSettings(Section):
    """The network."""

    encoder: Encoder = Part("resnet34")
    """An encoder of segmentation_models_pytorch, one of ours, or tu-<any timm model>."""
    encoder_weights: Annotated[str, BeforeValidator(_weights)] = "imagenet"
    """imagenet, none, or the path of a state dict."""
    decoder: Decoder = Part("unet")
    """What turns the encoder's features into a mask."""
    bottleneck: Bottleneck = Part(name="identity")
    """What is done to the deepest feature."""
    attention: Attention = Part("none")
    """What is done to the features that skip from encoder to decoder."""
    latent_augmentation: LatentAugmentation = Part("none")
    """What is done in training to the bottleneck's output of the minority classes' samples."""
    segmentation_head: Literal["binary", "multiclass"] = "binary"
    """Lesion against background, or one channel for the background and one for the lesions of each diagnosis."""
    deep_supervision: Switch = False
    """Whether the coarser outputs of a decoder that has several are trained too, each with half the weight."""
    classification_head: ClassificationHead = Part("pooled")
    """What diagnoses; true is pooled, false is none."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    """How fast running statistics follow; null keeps each part's own. EfficientNet's 0.01 needs some 300 steps to
    forget its first statistics: too slow for a few hundred cases without pretrained weights."""


class EarlyStopping(Section):
    """When to stop before the last epoch."""

    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better validation objective; null trains all epochs."""


class TrainingSettings(Section):
    """How the network is trained."""

    seed: Seed = 42
    """Every random number of a run derives from it."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Passes over the training part."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 16
    """Images per optimizer step. Where they do not fit into memory they go through the network in micro-batches, each
    half as large as before, to the same gradient: only batch normalisation (and latent augmentation, which mixes cases)
    then sees a micro-batch at a time, which may change the result a little and is said in `adjustments`."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """The optimizer."""
    lr: Annotated[float, Field(gt=0, le=10)] = 3e-4
    """Peak learning rate."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Weight decay (decoupled for adamw)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd; the others have their own."""
    scheduler: Literal["cosine", "plateau", "none"] = "cosine"
    """How the learning rate falls."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs in which the learning rate rises linearly to its peak."""
    segmentation_loss: SegmentationLoss = Part("dice_bce")
    """Loss of the mask."""
    classification_loss: ClassificationLoss = Part("cross_entropy")
    """Loss of the diagnosis."""
    classification_weight: Annotated[float, Field(ge=0, le=1000)] = 0.5
    """Weight of the diagnosis' loss beside that of the mask, which has 1."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes in the diagnosis' loss, from the training part alone."""
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    """What an epoch consists of: every case once, or as many draws with every class equally likely."""
    augmentation: Annotated[tuple[AugmentationPart, ...], Field(strict=False)] = ()
    """Random changes of the training images, in this order."""
    augmentation_on: Literal["host", "device"] = "host"
    """host: case by case, with albumentations, beside the training; device: batch by batch, with kornia, where the
    network is trained, so that a fast GPU does not wait for pictures. Other random numbers, with the same
    distribution."""
    early_stopping: EarlyStopping = EarlyStopping()
    """When to stop before the last epoch."""
    amp: Literal["auto", "none", "bf16", "fp16"] = "auto"
    """Mixed precision. auto: on CUDA, bf16 where the GPU has it, and none elsewhere, lest the same sweep give other
    numbers on another CPU; bf16 trains in it on a CPU, too, and --plan says where that would be faster."""
    channels_last: Switch = True
    """Memory layout of images; faster on most devices."""
    compile: Switch = False
    """Whether torch compiles the network (torch.compile), once for each size of batch: seconds to minutes each, which
    pays only where runs are long. Needs a C++ compiler on CPUs, Triton on GPUs."""
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient; null leaves it as it is."""
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] = 0
    """First epochs in which the encoder keeps its weights."""
    retry_diverged: Switch = False
    """Whether a training that diverges is repeated once, from scratch, at a tenth of the learning rate."""
    snapshots: Annotated[int, Field(ge=0, le=100)] = 0
    """Validation cases of which a run keeps what it drew after every epoch, for an animation; changes no result."""
    checkpoint_overhead: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the time that may go into checkpoints to go on from; 1 writes one after every epoch. With less, a kill
    costs up to what it takes to write one, divided by this, and an epoch. Changes no result."""


class Objective(Section):
    """What counts as better: for the choice of a checkpoint, the ranking and the search."""

    metric: Annotated[str, Registered("utils.metrics", "METRICS")] = "dice"
    """A registered metric, on the validation part in training and on the test part in the leaderboard."""
    mode: Literal["max", "min"] = "max"
    """Its direction; where it is left out, the metric's own."""

    @model_validator(mode="before")
    @classmethod
    def _own_direction(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "mode" in value or not isinstance(value.get("metric"), str):
            return value
        metrics = Registered("utils.metrics", "METRICS").registry()
        return {**value, "mode": metrics[value["metric"]].direction} if value["metric"] in metrics else value


class Settings(Section):
    """Everything that a configuration is: one value for every setting."""

    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    """The data."""
    folds: FoldSettings = Field(default_factory=FoldSettings)
    """The split."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    """The network."""
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    """The training."""
    objective: Objective = Field(default_factory=Objective)
    """What counts as better."""
    metrics: MetricOptions = Field(default_factory=dict)
    """Options of metrics that have any: ``{nsd: {tolerance: 1.0}}``."""
