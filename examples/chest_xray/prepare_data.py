"""From the NIH ChestX-ray14 download to image folders for `datasets.load_dataset("imagefolder")`.

    python prepare_data.py --csv Data_Entry_2017_v2020.csv --images images/ --output xray
    python prepare_data.py --generate 400 --output xray

writes xray/train/ and xray/validation/, each with its images and a metadata.jsonl of their N-hot labels. All images
of a patient are in the same one of the two, so that validation never sees a patient of the training.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from findings import n_hot
from synthetic import write_synthetic

COLUMNS = ("Image Index", "Finding Labels", "Patient ID")


class DataError(ValueError):
    """Something about the data that the user has to mend."""


@dataclass(frozen=True)
class Row:
    """One image of the CSV file."""

    name: str
    labels: list[float]
    patient: str


def read_rows(path: Path) -> list[Row]:
    """The rows of `Data_Entry_2017_v2020.csv`. DataError for one that is not as NIH writes them."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; expected {', '.join(COLUMNS)}.")
            rows = [_row(cells, f"{path}, line {table.line_num}") for cells in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV ({error}).") from error
    if not rows:
        raise DataError(f"{path} describes no image.")
    _check_unique([row.name for row in rows], str(path))
    return rows


def _row(cells: dict[str, str], place: str) -> Row:
    name, findings, patient = ((cells[column] or "").strip() for column in COLUMNS)
    if not name:
        raise DataError(f"{place}: no image is named.")
    if not patient:
        raise DataError(f"{place}: {name} has no patient, and images are split by patient.")
    try:
        return Row(name, n_hot(findings), patient)
    except ValueError as error:
        raise DataError(f"{place}: {error}.") from None


def _check_unique(names: list[str], place: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{place}: {name} is there twice; expected one entry for each image.")
        seen.add(name)


def find_images(folder: Path, rows: list[Row], skip_missing: bool) -> dict[str, Path]:
    """Where each image is, anywhere below `folder` (NIH ships images_001/images/ to images_012/images/)."""
    wanted = {row.name for row in rows}
    files = sorted(path for path in folder.rglob("*.png") if path.name in wanted)
    _check_unique([path.name for path in files], str(folder))
    found = {path.name: path.resolve() for path in files}
    missing = sorted(wanted - set(found))
    if missing and not (skip_missing and found):
        raise DataError(
            f"{len(missing)} of {len(wanted)} images are not below {folder}, such as {', '.join(missing[:3])}. "
            "With only a part of the download, --skip-missing leaves them out."
        )
    return found


def split_by_patient(rows: list[Row], share: float, seed: int) -> dict[str, list[Row]]:
    """`share` of the patients, and at least one, for validation; the others for training."""
    if not 0 < share < 1:
        raise DataError(f"The share of patients for validation is {share}, expected more than 0 and less than 1.")
    patients = sorted({row.patient for row in rows})
    if len(patients) < 2:
        raise DataError("All images are of one patient; splitting by patient needs two or more.")
    random.Random(seed).shuffle(patients)
    held_out = set(patients[: min(max(round(share * len(patients)), 1), len(patients) - 1)])
    return {
        "train": [row for row in rows if row.patient not in held_out],
        "validation": [row for row in rows if row.patient in held_out],
    }


def write_folders(output: Path, splits: dict[str, list[Row]], images: dict[str, Path]) -> None:
    """All of `output`, or nothing of it. Images are hard links where the file system can, else copies."""
    if output.exists():
        raise DataError(f"{output} exists already; choose another --output, or remove it.")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=output.parent) as scratch:
        for split, rows in splits.items():
            folder = Path(scratch, "new", split)
            folder.mkdir(parents=True)
            with open(folder / "metadata.jsonl", "w", encoding="utf-8") as metadata:
                for row in rows:
                    _place(images[row.name], folder / row.name)
                    metadata.write(json.dumps({"file_name": row.name, "labels": row.labels}) + "\n")
        os.rename(Path(scratch, "new"), output)


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def prepare(options: argparse.Namespace) -> str:
    """Does what was asked for; says what was written."""
    with tempfile.TemporaryDirectory() as scratch:
        table, folder = options.csv, options.images
        if options.generate is not None:
            table, folder = write_synthetic(Path(scratch), options.generate, options.seed), Path(scratch)
        rows = read_rows(table)
        images = find_images(folder, rows, options.skip_missing)
        kept = [row for row in rows if row.name in images]
        splits = split_by_patient(kept, options.validation, options.seed)
        write_folders(options.output, splits, images)
    parts = [f"{split} {len(part)} images of {len({row.patient for row in part})}" for split, part in splits.items()]
    left_out = f"; left out, as the image is missing: {len(rows) - len(kept)}" if len(kept) < len(rows) else ""
    return f"wrote {options.output}: {', '.join(parts)} patients{left_out}"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="Image folders from the NIH ChestX-ray14 download, or made-up ones.")
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, help="Data_Entry_2017_v2020.csv")
    source.add_argument("--generate", type=int, metavar="N", help="make N small images up instead")
    p.add_argument("--images", type=Path, default=Path("images"), help="the folder of the images (default: images)")
    p.add_argument("--output", type=Path, required=True, help="the folder to make")
    p.add_argument("--validation", type=float, default=0.05, help="share of patients held out (default: 0.05)")
    p.add_argument("--skip-missing", action="store_true", help="leave rows out whose image is missing")
    p.add_argument("--seed", type=int, default=0)
    return p


def main(arguments: list[str] | None = None) -> None:
    p = parser()
    options = p.parse_args(arguments)
    try:
        print(prepare(options))
    except (DataError, OSError) as error:
        p.error(str(error))


if __name__ == "__main__":
    main()
