"""Notes and images beside the trials of a study, where the dashboard shows them.

Both stand with the study and not with its trials, which Optuna does not change once they have ended. What is there
already is left alone, so that a second call writes nothing; a study that was made anew gets everything again.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage

from experiments.leaderboard.leaderboard import Leaderboard
from experiments.study.mirror import StudyMirror
from experiments.study.notes import note_of
from utils.identity import digest, file_digest

ARTIFACTS = "artifacts"
"""The folder under ``results`` that the dashboard is given by ``--artifact-dir``; one for all sweeps."""

_LONGEST = 2045  # characters of one piece of a note: what fits the column of every database


def annotate(
    mirror: StudyMirror,
    leaderboard: Leaderboard,
    artifacts: Path,
    images: Mapping[str, Sequence[Path]] | None = None,
) -> None:
    """Gives every trial the note of its line, and the trials of `images` exactly these files as artifacts.

    mirror: after `StudyMirror.sync`. artifacts: the folder that files are copied to, by their content.
    images: configuration id -> files; trials of other configurations keep what they have.
    Raises StudyError if the storage fails, OSError if a file cannot be read or copied.
    """
    with mirror.guarded():
        trials = mirror.trial_ids
        study = mirror.storage.get_study_id_from_name(mirror.name)
        attributes = mirror.storage.get_study_system_attrs(study)
        for line in leaderboard.ranked():
            if line.entry.id in trials:
                wanted = _note(trials[line.entry.id], note_of(leaderboard, line), attributes)
                _write(mirror.storage, study, wanted, attributes)
    for configuration, files in (images or {}).items():
        if configuration in trials:
            found = _stored(artifacts, (leaderboard.sweep, configuration), files)
            with mirror.guarded():
                _write(mirror.storage, study, _shown(trials[configuration], found, attributes), attributes)


def _note(trial: int, text: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The study's attributes that are a trial's note, as `optuna_dashboard.save_note` writes them.

    Importing that takes seconds, and it reads all notes of a study for every one that it writes.
    """
    piece, version = f"dashboard:{trial}:note_str:", f"dashboard:{trial}:note_ver"
    pieces = [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)]
    before = sum(key.startswith(piece) for key in attributes)
    pieces += [""] * (before - len(pieces))
    wanted: dict[str, Any] = {f"{piece}{number}": part for number, part in enumerate(pieces)}
    if all(attributes.get(key) == part for key, part in wanted.items()):
        return {}
    # A note whose version stays is not read again by a dashboard that is open.
    return {**wanted, version: attributes.get(version, 0) + 1}


def _stored(artifacts: Path, owner: tuple[str, str], files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Copies the files into the store; identity -> what Optuna writes down of an artifact."""
    artifacts.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(artifacts)
    found = {}
    for file in files:
        # From the content, where Optuna would draw one: the same file of the same run is then never there twice.
        identity = digest([*owner, file.name, file_digest(file)], 32)
        path = artifacts / identity
        if not path.exists() or path.stat().st_size != file.stat().st_size:
            with file.open("rb") as content:
                store.write(identity, content)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        found[identity] = {"artifact_id": identity, "filename": file.name, "mimetype": kind, "encoding": None}
    return found


def _shown(trial: int, found: Mapping[str, dict[str, Any]], attributes: Mapping[str, Any]) -> dict[str, str]:
    """The study's attributes that make these the artifacts of a trial, and take away those that were before."""
    prefix = f"dashboard:artifacts:{trial}:"
    gone = [key for key in attributes if key.startswith(prefix) and key.removeprefix(prefix) not in found]
    return {**dict.fromkeys(gone, "null"), **{prefix + identity: json.dumps(meta) for identity, meta in found.items()}}


def _write(storage: BaseStorage, study: int, wanted: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        if attributes.get(key) != value:
            storage.set_study_system_attr(study, key, value)
