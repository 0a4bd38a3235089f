"""How the Python that runs this was compiled: it decides a fifth of what everything takes.

``./dev setup`` asks each Python it finds before there is an environment, so this imports the standard library alone.
"""

from __future__ import annotations

import sys
import sysconfig
from typing import Final

_OPTIMISED: Final = "--enable-optimizations"
# Linux distributions compile theirs with a profile, too, by rules of their own, which their flags do not show.
_DISTRIBUTION_PREFIX: Final = "/usr"


def is_optimised() -> bool:
    """False for a Python that was compiled without a profile, as ``configure`` does it unless it is asked to."""
    flags = sysconfig.get_config_var("CONFIG_ARGS")  # not known on Windows, where all builds are optimised
    return flags is None or _OPTIMISED in flags or sys.base_prefix == _DISTRIBUTION_PREFIX


def described() -> str:
    """The version, and whether it is a slow build of it."""
    version = sys.version.split()[0]
    return version if is_optimised() else f"{version} (compiled without {_OPTIMISED})"


if __name__ == "__main__":
    sys.exit(not is_optimised())
