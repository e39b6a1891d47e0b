"""Exit code 0 where a URL of this container answers 200: `python url_health.py http://127.0.0.1:5000/health`."""

from __future__ import annotations

import sys
import urllib.request


def main() -> int:
    """Ask once; urllib raises, and Python ends with 1, for anything but an answer below 400."""
    # No proxy: what the environment names for the world does not know this container's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(sys.argv[1], timeout=8) as answer:
        return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
