"""From image folders to the batches that ViT takes: PIL alone, so that it needs no torchvision."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image

DEGREES = 7


def load_splits(folder: Path, cache: Path) -> Any:
    """The splits `train` and `validation`, with the columns `image` and `labels`; nothing is downloaded."""
    from datasets import load_dataset

    files = {split: f"{split}/*" for split in ("train", "validation")}
    return load_dataset("imagefolder", data_dir=str(folder), data_files=files, cache_dir=str(cache))


def augmented(image: Image.Image) -> Image.Image:
    """A little rotated, and every other one mirrored."""
    turned = image.rotate(random.uniform(-DEGREES, DEGREES), resample=Image.Resampling.BILINEAR)
    return turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else turned


class Pixels:
    """What a data set does to the rows that are read: resized and normalised as the model's processor says."""

    def __init__(self, processor: Any, augment: bool) -> None:
        self.processor = processor
        self.augment = augment

    def __call__(self, rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        images = [image.convert("RGB") for image in rows["image"]]
        if self.augment:
            images = [augmented(image) for image in images]
        pixels = self.processor(images, return_tensors="pt")["pixel_values"]
        return {"pixel_values": list(pixels), "labels": rows["labels"]}


class Collator:
    """One batch of rows, in the precision that the model computes in: logits and targets must agree."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.stack([row["pixel_values"] for row in rows]).to(self.dtype),
            "labels": torch.tensor([row["labels"] for row in rows], dtype=self.dtype),
        }
