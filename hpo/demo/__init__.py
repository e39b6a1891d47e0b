"""What a first search needs without a download: labelled reviews and a small pretrained GPT-2."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DEMO_MODEL_DIR: Final = Path(__file__).parent / "model"

__all__ = ["DEMO_MODEL_DIR"]
