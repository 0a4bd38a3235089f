"""The process that stops a borrowed stack when everybody who held it is gone. ``python -m … FOLDER``"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from runfold_services.stack.folders import locked
from runfold_services.stack.settings import settings_from_environment
from runfold_services.stack.shared import door_file, holders_file, stop_if_nobody_is_left

_POLL_S: Final = 1.0


def main(path: Path) -> None:
    settings = settings_from_environment()
    is_over = False
    with holders_file(path).open("ab") as held:
        while not is_over:
            time.sleep(_POLL_S)
            with locked(door_file(path)):
                is_over = stop_if_nobody_is_left(path, settings, held, wipe=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
