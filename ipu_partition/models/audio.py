"""Lengths of audio, in seconds, samples and frames."""

from __future__ import annotations

from ..errors import UsageError
from .context import Context, cannot_infer, field

AUDIO_SECONDS = 10.0
SAMPLES_PER_SECOND = 16_000
"""What HuBERT, Wav2Vec2 and Whisper were trained on."""
_MEL_FRAMES_PER_POSITION = 2
"""The second convolution of Whisper's encoder has stride 2. Source: huggingface/transformers:models/whisper."""
_FRAMES_PER_LABEL = 2
"""CTC needs at least one frame a label; half as many labels as frames leaves room for blanks."""


def seconds(at: Context) -> float:
    return AUDIO_SECONDS if at.shapes.audio_seconds is None else float(at.shapes.audio_seconds)


def samples(at: Context) -> int:
    """Of a waveform. Raises: UsageError where the convolutions leave no frame of it."""
    wanted = round(seconds(at) * SAMPLES_PER_SECOND)
    if _frames(at, wanted) < 1:
        least = _least_samples(at)
        raise UsageError(
            f"audio_seconds is {seconds(at)} ({wanted} samples), but the convolutions of "
            f"{at.name} need at least {least} samples ({least / SAMPLES_PER_SECOND:.4f} s)."
        )
    return wanted


def feature_frames(at: Context) -> int:
    """What the feature encoder makes of the waveform. Raises: UsageError as :func:`samples`."""
    return _frames(at, samples(at))


def transcript(at: Context) -> int:
    """Labels of CTC. Raises: UsageError where there are more than frames."""
    frames = feature_frames(at)
    wish = at.shapes.target_length
    if wish is not None and wish > frames:
        raise UsageError(
            f"target_length is {wish}, but {seconds(at)} s of audio make {frames} frames, and a label needs one."
        )
    return max(1, frames // _FRAMES_PER_LABEL) if wish is None else wish


def mel_frames(at: Context) -> int:
    """Of a log-mel spectrogram. Raises: UsageError where the configuration does not tell."""
    return _MEL_FRAMES_PER_POSITION * at.configured("max_source_positions")


def _convolutions(at: Context) -> list[tuple[int, int]]:
    """Kernel and stride of each."""
    kernels, strides = field(at.config, "conv_kernel"), field(at.config, "conv_stride")
    if not (isinstance(kernels, (list, tuple)) and isinstance(strides, (list, tuple))):
        raise cannot_infer(at.name, "its configuration has no conv_kernel and conv_stride")
    return list(zip(kernels, strides, strict=False))


def _frames(at: Context, length: int) -> int:
    """Frames the feature encoder makes.

    Source: huggingface/transformers:src/transformers/models/wav2vec2, `_get_feat_extract_output_lengths`.
    """
    for kernel, stride in _convolutions(at):
        length = (length - kernel) // stride + 1
        if length < 1:
            return 0
    return length


def _least_samples(at: Context) -> int:
    length = 1
    for kernel, stride in reversed(_convolutions(at)):
        length = (length - 1) * stride + kernel
    return length
