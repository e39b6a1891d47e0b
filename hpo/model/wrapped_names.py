"""Names of weights that something wrapped round a model has changed: taken off, or told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

# DataParallel and DistributedDataParallel; torch.compile; PEFT.
_WRAPPERS: Final = re.compile(r"(?:module\.|_orig_mod\.|base_model\.model\.)+")
MERGE: Final = "Merge the adapter: model.merge_and_unload().save_pretrained(folder)."
"""What to do about an adapter, which is no model."""
_MOST_WRAPPERS: Final = 8
_ADAPTERS: Final = re.compile(r"\.base_layer\.|\.lora_\w+\.|\.modules_to_save\.")


def parted(name: str) -> tuple[str, str]:
    """What wrappers put before a weight's name, and the name itself.

    >>> parted("module._orig_mod.norm.weight")
    ('module._orig_mod.', 'norm.weight')
    """
    match = _WRAPPERS.match(name)
    end = match.end() if match else 0
    return name[:end], name[end:]


def adapter_in(names: Iterable[str]) -> str | None:
    """The first name that belongs to an adapter which is not merged into its model; None: there is none."""
    return next((name for name in names if _ADAPTERS.search(name)), None)


def name_within(names: Iterable[str], key: str, full_name: Callable[[str], str]) -> str | None:
    """The name that a weight has in a file whose names begin with something else; None: it is not in it.

    Args:
        names: In the file.
        key: The weight's full name.
        full_name: Gives it for a name that the file may have.
    """
    for name in names:
        parts = name.split(".", _MOST_WRAPPERS)
        if key in (full_name(".".join(parts[cut:])) for cut in range(1, len(parts))):
            return name
    return None
