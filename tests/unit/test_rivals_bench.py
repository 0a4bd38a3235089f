"""The comparison's own parts: its client, its arithmetic, its tables, its picture. Its figures are not judged here."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from benchmarks import closed_loop
from benchmarks.closed_loop import Request
from benchmarks.rivals import plot, tables
from benchmarks.rivals import rows as r
from benchmarks.rivals.environments import LOCKS, version_of
from benchmarks.rivals.rows import Row

ROW = Row(
    name="Requests",
    about="Some.",
    unit="requests/s",
    aims=(r.Aim(r.OURS, r.MLFLOW, 20.0), r.Aim(r.OURS, r.FASTTRACKML, r.AHEAD)),
    values={r.OURS: [90.0, 100.0, 300.0], r.MLFLOW: [4.0, 5.0, 6.0], r.FASTTRACKML: [200.0]},
    cpu_us={r.OURS: [1.0], r.MLFLOW: [30.0], r.FASTTRACKML: [2.0]},
)
FACTS: dict[str, str] = dict.fromkeys(
    (
        *("processor", "cores", "memory_gib", "system", "python", "sqlite", "postgres", "mlflow"),
        *("mlflow_workers", "fasttrackml", "commit", "measured_at", "load_before"),
    ),
    "x",
)
LINES = 4


class Echo(BaseHTTPRequestHandler):
    """Answers what was sent, once every connection has sent something; refuses what says so."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[int]] = set()
    seen: ClassVar[list[bytes]] = []
    all_sent: ClassVar[threading.Barrier]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.all_sent.wait(20)
        self.connections.add(id(self.connection))
        self.seen.append(body)
        self.send_response(429 if body == b"refuse" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Does not say that clients have gone, which a client does whose other connection was refused."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Generator[str]:
    Echo.connections, Echo.seen, Echo.all_sent = set(), [], threading.Barrier(LINES)
    with Server(("127.0.0.1", 0), Echo) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def script(*bodies: bytes) -> list[Request]:
    return [Request("POST", "/", body) for body in bodies]


def test_connections_send_at_the_same_time_and_each_in_its_order(server: str) -> None:
    scripts = [script(*(b"%d-%d" % (line, number) for number in range(5))) for line in range(LINES)]

    ran = closed_loop.run(server, scripts)

    assert ran.last_answers == [b"0-4", b"1-4", b"2-4", b"3-4"]
    assert len(Echo.connections) == LINES
    for line in range(LINES):
        mine = [body for body in Echo.seen if body.startswith(b"%d-" % line)]
        assert mine == [b"%d-%d" % (line, number) for number in range(5)]


def test_a_refusal_ends_the_comparison(server: str) -> None:
    with pytest.raises(RuntimeError, match="429"):
        closed_loop.run(server, [script(b"x", b"refuse")] * LINES)


def test_medians_are_compared_and_more_of_a_time_is_worse() -> None:
    times = Row(name="T", about="", unit="ms", is_rate=False, values={"a": [2.0, 4.0, 9.0], "b": [40.0]})

    assert (ROW.times(r.OURS, r.MLFLOW), times.times("a", "b")) == (20.0, 10.0)


def test_tables_say_which_aims_hold() -> None:
    assert [line[-2:] for line in tables.summary([ROW])[1]] == [["20", "≥ 20 ✓"], ["0.5", "ahead ✗"]]
    text = tables.markdown(FACTS, [ROW])
    assert "| runfold on Postgres | 90 | 100 | 300 | 20 | 0.5 | 1 |" in text
    data = tables.as_data(FACTS, [ROW])
    assert [aim["holds"] for aim in data["groups"][0]["aims"]] == [True, False]


def test_the_picture_is_svg_and_longer_bars_are_greater_values() -> None:
    image = ElementTree.fromstring(plot.svg([ROW, ROW]))
    widths = [float(bar.get("width", "")) for bar in image.iter("{http://www.w3.org/2000/svg}rect")]

    assert len(widths) == 6
    assert widths[2] > widths[0] > widths[1] > 0
    assert plot.share(10.0, [10.0, 1000.0]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["mlflow", "fasttrackml"])
def test_rivals_are_pinned_by_hash_and_name_no_host(name: str) -> None:
    text = (LOCKS / f"{name}.lock").read_text("utf-8")

    assert version_of(name)[0].isdigit()
    assert text.count("--hash=sha256:") >= text.count("==")
    assert "://" not in text
