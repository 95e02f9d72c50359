"""Small made-up X-rays in the layout of the NIH download, so that everything can be tried without its 42 GB.

Each finding is a pair of bright spots at a place of its own, the same left and right, so that mirrored images keep
their labels. They mean nothing to a physician.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

from findings import FINDINGS, NO_FINDING
from PIL import Image, ImageDraw

CSV_NAME = "Data_Entry_2017_v2020.csv"
SIDE = 64
SHARE = 0.2
"""Of images that show a finding, for each finding."""
IMAGES_PER_PATIENT = 3


def write_synthetic(folder: Path, count: int, seed: int) -> Path:
    """`count` images under `folder`/images, and the CSV file that describes them, whose path is returned."""
    chance = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    with open(folder / CSV_NAME, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("Image Index", "Finding Labels", "Follow-up #", "Patient ID"))
        for number in range(count):
            patient, visit = divmod(number, IMAGES_PER_PATIENT)
            name = f"{patient + 1:08}_{visit:03}.png"
            shown = [index for index in range(len(FINDINGS)) if chance.random() < SHARE]
            draw(shown, chance).save(folder / "images" / name)
            table.writerow((name, "|".join(FINDINGS[index] for index in shown) or NO_FINDING, visit, patient + 1))
    return folder / CSV_NAME


def draw(shown: list[int], chance: random.Random) -> Image.Image:
    """A grey picture with two dark lungs and the spots of the findings `shown`, by their index."""
    grain = Image.frombytes("L", (SIDE, SIDE), bytes(chance.randrange(40, 64) for _ in range(SIDE * SIDE)))
    pen = ImageDraw.Draw(grain)
    for middle in (0.27, 0.73):
        pen.ellipse(_box(middle, 0.5, 0.2, 0.42), fill=20 + chance.randrange(20))
    for index in shown:
        row, column = divmod(index, 2)
        height = 0.12 + 0.76 * row / 6 + chance.uniform(-0.02, 0.02)
        aside = (0.13, 0.36)[column] + chance.uniform(-0.02, 0.02)
        for middle in (0.5 - aside, 0.5 + aside):
            pen.ellipse(_box(middle, height, 0.06, 0.06), fill=200 + chance.randrange(50))
    return grain


def _box(x: float, y: float, width: float, height: float) -> list[float]:
    """Around a centre; all in sides of the image."""
    return [SIDE * value for value in (x - width, y - height, x + width, y + height)]
