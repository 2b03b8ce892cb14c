"""Which encoder names are valid, without importing torch where that can be avoided.

smp's names stand here as a table, because asking smp for them costs three seconds of imports; a test holds the
table to the installed smp. timm's thousand names are asked of timm, and only when a `tu-` name occurs.
"""

from __future__ import annotations

from models.encoders.registry import ENCODERS, load_own_encoders
from utils.errors import Problem, UserError, nearest

TIMM_PREFIX = "tu-"

SMP_ENCODERS: tuple[str, ...] = tuple(
    """
    resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x4d resnext101_32x8d
    resnext101_32x16d resnext101_32x32d resnext101_32x48d dpn68 dpn68b dpn92 dpn98 dpn107 dpn131 vgg11 vgg11_bn
    vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn senet154 se_resnet50 se_resnet101 se_resnet152
    se_resnext50_32x4d se_resnext101_32x4d densenet121 densenet169 densenet201 densenet161 inceptionresnetv2
    inceptionv4 efficientnet-b0 efficientnet-b1 efficientnet-b2 efficientnet-b3 efficientnet-b4 efficientnet-b5
    efficientnet-b6 efficientnet-b7 mobilenet_v2 xception timm-efficientnet-b0 timm-efficientnet-b1
    timm-efficientnet-b2 timm-efficientnet-b3 timm-efficientnet-b4 timm-efficientnet-b5 timm-efficientnet-b6
    timm-efficientnet-b7 timm-efficientnet-b8 timm-efficientnet-l2 timm-tf_efficientnet_lite0
    timm-tf_efficientnet_lite1 timm-tf_efficientnet_lite2 timm-tf_efficientnet_lite3 timm-tf_efficientnet_lite4
    timm-skresnet18 timm-skresnet34 timm-skresnext50_32x4d mit_b0 mit_b1 mit_b2 mit_b3 mit_b4 mit_b5
    mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3 mobileone_s4
    """.split()  # noqa: SIM905  # eleven lines, not 76
)


def encoder_names() -> tuple[str, ...]:
    """Every name but timm's, which are `tu-` and any name of `timm.list_models()`."""
    load_own_encoders()
    return SMP_ENCODERS + tuple(ENCODERS)


def check_encoder(name: str) -> None:
    """Returns if `name` is an encoder; raises UserError with the nearest valid name and the choices if not."""
    if name in SMP_ENCODERS:
        return
    if name.startswith(TIMM_PREFIX):
        _check_timm(name)
    elif name not in encoder_names() and not _in_newer_smp(name):
        raise UserError(
            Problem(
                where="model.encoder",
                message="no such encoder (timm's models are written tu-<name>)",
                value=name,
                nearest=nearest(name, encoder_names()) or _nearest_timm(name),
                choices=encoder_names(),
            )
        )


def _check_timm(name: str) -> None:
    import timm

    model, _, tag = name.removeprefix(TIMM_PREFIX).partition(".")
    if not timm.is_model(model):
        raise UserError(
            Problem(where="model.encoder", message="timm has no such model", value=name, nearest=_nearest_timm(model))
        )
    tagged = tuple(f"{TIMM_PREFIX}{full}" for full in timm.list_pretrained(f"{model}.*"))
    if tag and name not in tagged:
        raise UserError(
            Problem(
                where="model.encoder",
                message=f"timm's {model} has no weights with the tag {tag!r}",
                value=name,
                nearest=nearest(name, tagged),
                choices=tagged,
            )
        )


def _nearest_timm(name: str) -> str:
    import timm

    match = nearest(name, timm.list_models())
    return f"{TIMM_PREFIX}{match}" if match else ""


def _in_newer_smp(name: str) -> bool:
    # Only a name about to be refused pays for asking the smp that is installed.
    from segmentation_models_pytorch.encoders import get_encoder_names

    return name in get_encoder_names()
