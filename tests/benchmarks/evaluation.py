"""What the evaluation of a run costs beside its training, in the demo of a sweep.

    python tests/benchmarks/evaluation.py [--sweep sweeps/encoders.yaml] [--encoders resnet18 ...] [--epochs N]

Trains runs of the sweep's demo as a worker does, on one thread, and times within each:

- training: the optimizer's steps of all epochs, with loading and augmentation;
- test: the evaluation that is reported, once a run: forward pass, every metric at the images' own size, ``cases.csv``;
- validation: the same at the network's size after every epoch, which steers the run, and ``epochs.csv``;
- metrics: of both, the seconds in metrics alone.

Seconds are of the processor, so that what else runs on the machine does not matter much.
Left out on both sides are what is neither: building the network, checkpoints, the latency of one image. Each run is
trained twice, and the first time is not counted, since it pays for what a process loads and compiles once.
--epochs sets what a longer run costs: validation grows with it as training does, the test does not.
Exit code 1 if evaluation, test and validation together, takes more than 10 % of training over all runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

MOST = 0.10

from experiments.preparation.provision import provide  # noqa: E402
from experiments.preparation.survey import open_sources, survey  # noqa: E402
from experiments.sweep import load_sweep, nested  # noqa: E402
from experiments.training import TRAINING_VERSION  # noqa: E402
from experiments.training.evaluation import cases_csv, scores  # noqa: E402
from experiments.training.execution import Execution  # noqa: E402
from experiments.training.run import TrainingRun  # noqa: E402
from experiments.training.spec import RunSpec  # noqa: E402

SPENT: Counter[str] = Counter()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Adds the seconds of a block to what was spent on `what`."""
    started = time.process_time()
    yield
    SPENT[what] += time.process_time() - started


def timing(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its seconds added to what was spent on `what`."""

    def call(*given: Any, **named: Any) -> Any:
        with timed(what):
            return function(*given, **named)

    return call


def specs(sweep_file: str, encoders: list[str], epochs: int | None, folder: Path) -> list[RunSpec]:
    """The first fold of each encoder of the sweep's demo."""
    changes = [f"search.grid={{model.encoder: [{', '.join(encoders)}]}}"]
    changes += [f"training.epochs={epochs}"] if epochs else []
    sweep = load_sweep(REPOSITORY / sweep_file, changes, demo=True, results=folder)
    quiet: Any = lambda *_: None  # noqa: E731
    found = survey(sweep, open_sources(sweep, quiet))
    provisions = provide(found, sweep, folder, quiet)
    made = []
    for planned in found.planned:
        given = provisions[planned.id]
        made.append(
            RunSpec(
                sweep=sweep.name,
                configuration=planned.id,
                name=planned.configuration.name,
                fold=0,
                settings=nested(planned.configuration.settings),
                folder=folder / "runs" / planned.id,
                cache=given.cache,
                split_file=given.split_file,
                weights=given.weights,
                data=planned.source.data,
                split=planned.split.hash,
                code=TRAINING_VERSION,
            )
        )
    return made


def measure(spec: RunSpec) -> Counter[str]:
    """Trains and evaluates the run in a fresh folder; seconds by what they were spent on."""
    SPENT.clear()
    with tempfile.TemporaryDirectory() as folder:
        execution = Execution(RunSpec.from_json({**spec.to_json(), "folder": folder}))
        while not execution.step().ended:
            pass
        assert (Path(folder) / "cases.csv").is_file(), (Path(folder) / "error.txt").read_text()
    return Counter(SPENT)


def install_timers() -> None:
    """Puts clocks around the parts of a run, in this process alone."""
    TrainingRun._train = timing("training", TrainingRun._train)  # type: ignore[method-assign]
    TrainingRun._validate = timing("validation", TrainingRun._validate)  # type: ignore[method-assign]
    TrainingRun.test = timing("test", TrainingRun.test)  # type: ignore[method-assign]
    module: Any = sys.modules["experiments.training.execution"]
    module.write_epochs = timing("validation", module.write_epochs)
    module.cases_csv = timing("test", cases_csv)
    scores.case_scores = timing("metrics", scores.case_scores)
    scores.fold_scores = timing("metrics", scores.fold_scores)


def line(name: str, spent: Counter[str]) -> str:
    """One row of the table."""
    training = spent["training"]
    shares = [spent[what] / training for what in ("test", "validation", "metrics")]
    both = (spent["test"] + spent["validation"]) / training
    return f"{name:28}{training:9.2f} s" + "".join(f"{share:12.1%}" for share in (*shares, both))


def main() -> int:
    """Prints the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", default="sweeps/encoders.yaml")
    parser.add_argument("--encoders", nargs="+", default=["resnet18", "resnet50", "efficientnet-b0", "vgg11_bn"])
    parser.add_argument("--epochs", type=int, help="instead of the demo's own")
    given = parser.parse_args()
    install_timers()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a run")
    print(f"{'run':28}{'training':>11}" + "".join(f"{name:>12}" for name in ("test", "validation", "metrics", "both")))
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for spec in specs(given.sweep, given.encoders, given.epochs, Path(folder)):
            measure(spec)
            spent = measure(spec)
            total += spent
            print(line(spec.name, spent), flush=True)
    print(line("all", total))
    share = (total["test"] + total["validation"]) / total["training"]
    print(f"evaluation takes {share:.1%} of training; the bar is {MOST:.0%}")
    return int(share > MOST)


if __name__ == "__main__":
    sys.exit(main())
