# SPDX-License-Identifier: MIT
"""Folders of images as data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.shared import needs
from tinyeff import images
from tinyeff.errors import UsageError
from tinyeff.ir import Array


def write(path: Path, values: Array) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def test_images_come_in_order_with_the_number_of_their_folder(tmp_path: Path) -> None:
    needs("PIL")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    for name, image in zip(("b/1.png", "a/2.png", "a/10.png"), pixels, strict=True):
        write(tmp_path / name, image)
    found = images.read(tmp_path, (4, 5, 3))
    np.testing.assert_array_equal(found, pixels[[2, 1, 0]])
    assert images.labels(tmp_path).tolist() == [0, 0, 1]  # type: ignore[union-attr]
    assert images.labels(tmp_path / "a") is None
    assert images.read(tmp_path, (8, 8, 1)).shape == (3, 8, 8, 1)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    needs("PIL")
    with pytest.raises(UsageError, match="no images in it"):
        images.read(tmp_path, (4, 4, 3))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(UsageError, match=r"broken\.png: the image cannot be read"):
        images.read(tmp_path, (4, 4, 3))
    with pytest.raises(UsageError, match="1, 3 or 4 channels"):
        images.read(tmp_path, (640,))
    write(tmp_path / "class" / "one.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="beside folders of images"):
        images.labels(tmp_path)
