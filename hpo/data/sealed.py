"""What is kept closed until its time: the test split, which says nothing any more once it is chosen by."""

from __future__ import annotations

from collections.abc import Sized
from typing import Generic, TypeVar

Content = TypeVar("Content", bound=Sized, covariant=True)


class Sealed(Generic[Content]):
    """Something of which only the size can be seen, unless it is opened.

    `tests/data/test_sealed.py` lists who may open one.
    """

    def __init__(self, content: Content) -> None:
        self.__content = content

    def __len__(self) -> int:
        return len(self.__content)

    def unsealed(self) -> Content:
        """What is in it."""
        return self.__content
