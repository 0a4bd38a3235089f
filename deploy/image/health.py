"""Exit code 0 if a process of this container is ready: HEALTHCHECK of the image.

``health.py PORT…`` asks the first of the ports that something listens on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException

ANSWER_S_MAX = 4.0


def main(ports: Sequence[str]) -> int:
    for port in ports:
        connection = HTTPConnection("127.0.0.1", int(port), timeout=ANSWER_S_MAX)
        try:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            print(answer.read().decode("utf-8", "replace").strip())
            return 0 if answer.status == 200 else 1
        except ConnectionRefusedError:
            continue
        except (OSError, HTTPException) as error:
            print(f"port {port}: {error}")
            return 1
        finally:
            connection.close()
    print(f"nothing listens on {', '.join(ports)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
