"""What the environment says of downloads: how long one may take, how large it may be, whether to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.errors import OptionError
from hpo.spec.environment import set_in
from hpo.spec.numbers import parse_duration, parse_size


@dataclass(frozen=True)
class DownloadLimits:
    """How long one download may take, in seconds, and how many bytes it may have.

    Attributes:
        asks_again: Whether servers are asked whether what is kept of them is still as it was.
    """

    seconds: float
    most_bytes: int
    asks_again: bool

    @staticmethod
    def of(environment: Mapping[str, str]) -> DownloadLimits:
        """HPO_DOWNLOAD_TIMEOUT, HPO_DOWNLOAD_LIMIT and HPO_DOWNLOAD_REFRESH; what is not set has its default.

        Raises:
            OptionError: One of them has a value that it cannot have.
        """
        seconds = set_in(environment, "HPO_DOWNLOAD_TIMEOUT") or "10m"
        size = set_in(environment, "HPO_DOWNLOAD_LIMIT") or "2GB"
        again = set_in(environment, "HPO_DOWNLOAD_REFRESH") or "0"
        if again not in ("0", "1"):
            raise OptionError(
                "HPO_DOWNLOAD_REFRESH",
                found=repr(again),
                expected="1 to ask servers again, or 0",
                hint="Set it to 1, or leave it out.",
            )
        return DownloadLimits(
            parse_duration(seconds, "HPO_DOWNLOAD_TIMEOUT"),
            parse_size(size, "HPO_DOWNLOAD_LIMIT"),
            again == "1",
        )
