"""Keep a view of completed runs up to date, until SIGTERM.

Events come from Kafka, in order within a partition and at least once. What Kafka no longer has, or never got, is
fetched from ``GET /api/v1/events``. Kafka's committed offsets are a hint where to go on; what counts is the view's own
checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from completed_view import CompletedRuns, Event
from confluent_kafka import Consumer, KafkaException, Message

PAGE_EVENTS: Final = 1_000
HTTP_S_MAX: Final = 30.0
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Unreachable(Exception):
    """The API does not answer, or does not have yet what is asked; try again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow."""
    options = _options(arguments)
    view = CompletedRuns(options.database)
    consumer = Consumer(
        {
            "bootstrap.servers": options.kafka,
            "group.id": options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # also when retention has passed us: the hole is filled below
            **dict(setting.split("=", 1) for setting in options.set),
        }
    )
    follower = Follower(view, Api(options.api, os.environ.get("RUNFOLD_TOKEN")), consumer, options.quiet_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: follower.stop())
    consumer.subscribe([options.events_topic])
    print("following", flush=True)
    try:
        follower.run()
    finally:
        consumer.close()
        view.close()
    return 0


class Follower:
    """From Kafka into the view."""

    def __init__(self, view: CompletedRuns, api: Api, consumer: Consumer, quiet_s: float) -> None:
        """``quiet_s``: after so long without events the API is asked whether the topic has lost its end."""
        self._view = view
        self._api = api
        self._consumer = consumer
        self._quiet_s = quiet_s
        self._is_stopping = False

    def stop(self) -> None:
        """End soon."""
        self._is_stopping = True

    def run(self) -> None:
        heard = time.monotonic()
        while not self._is_stopping:
            messages = self._consumer.consume(500, timeout=0.2)
            if messages:
                heard = time.monotonic()
                if self._retry(partial(self._absorb_all, _events(messages))):
                    self._consumer.commit(asynchronous=True)
            elif time.monotonic() - heard > self._quiet_s:
                heard = time.monotonic()
                self._retry(self._look_for_more)

    def _retry(self, work: Callable[[], None]) -> bool:
        """Do it, however long the API is away; False when we are to stop before. The view says what it waits for."""
        wait_s = RETRY_S_MIN
        while not self._is_stopping:
            try:
                work()
            except Unreachable as error:
                print(f"waiting: {error}", file=sys.stderr, flush=True)
            else:
                return True
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)
        return False

    def _absorb_all(self, events: Sequence[Event]) -> None:
        for _, of_partition in groupby(sorted(events, key=lambda e: e.partition), key=lambda e: e.partition):
            self._absorb(list(of_partition))

    def _absorb(self, events: list[Event]) -> None:
        """Take events of one partition; fetch what is missing before them."""
        while events := events[self._view.apply(events) :]:
            self._fill(events[0])

    def _fill(self, event: Event) -> None:
        """Fetch what lies before ``event``, which did not follow on."""
        partition, from_pos = event.partition, self._view.next_pos(event.partition)
        page = self._api.events(partition, from_pos)
        print(f"hole: partition {partition} from {from_pos} to {event.pos - 1}", file=sys.stderr, flush=True)
        if page and self._view.apply(page):
            return
        if self._view.is_of_now(event):
            raise Unreachable(f"the API does not have position {from_pos} of partition {partition} yet")
        # An epoch that nobody has announced to us. The store is the truth: read the partition again from it.
        self._view.forget(partition)
        self._read_on(partition)
        if not self._view.is_of_now(event):
            self._view.end_epoch(partition, event.epoch)  # the store knows nothing of that epoch: it is void

    def _read_on(self, partition: int) -> None:
        """Take all that the store has beyond the view."""
        while page := self._api.events(partition, self._view.next_pos(partition)):
            if not self._view.apply(page):
                return  # another epoch: the next event from Kafka settles it

    def _look_for_more(self) -> None:
        for place in self._consumer.assignment():
            self._read_on(place.partition)


class Api:
    """``GET /api/v1/events``."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )

    def events(self, partition: int, from_pos: int) -> list[Event]:
        """Events from ``from_pos`` on, in order; none at the end."""
        query = urllib.parse.urlencode({"partition": partition, "from": from_pos, "limit": PAGE_EVENTS})
        request = urllib.request.Request(f"{self._url}/api/v1/events?{query}", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=HTTP_S_MAX) as response:
                page = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in {429, 503}:
                raise Unreachable(f"{request.full_url}: {error.code}") from None
            raise
        except (OSError, ValueError) as error:
            raise Unreachable(f"{request.full_url}: {error}") from None
        return [_from_page(event) for event in page["events"]]


def _events(messages: Sequence[Message]) -> list[Event]:
    events: list[Event] = []
    for message in messages:
        error = message.error()
        if error is None:
            events.append(_from_record(message))
        elif not error.retriable():
            raise KafkaException(error)
    return events


def _from_record(message: Message) -> Event:
    given = dict(message.headers() or ())
    headers = {name: value.decode() for name, value in given.items() if isinstance(value, bytes)}
    is_json = headers["content-type"] == "application/json" and headers.get("ce_erased") != "true"
    return Event(
        partition=message.partition() or 0,
        pos=int(headers["ce_sequence"]),
        epoch=headers["ce_epoch"],
        type=headers["ce_type"].removeprefix("dev.runfold.").removesuffix(".v1"),
        stream=(message.key() or b"").decode(),
        time=headers["ce_time"],
        body=json.loads(message.value() or b"{}") if is_json else {},
    )


def _from_page(event: dict[str, Any]) -> Event:
    is_json = event["content_type"] == "application/json" and event["body"] is not None
    when = EPOCH_START + timedelta(microseconds=event["occurred_at"])
    return Event(
        partition=event["partition"],
        pos=event["pos"],
        epoch=event["epoch"],
        type=event["type"],
        stream=event["stream"],
        time=when.isoformat().replace("+00:00", "Z"),
        body=event["body"] if is_json else {},
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--database", type=Path, default=Path("completed_runs.db"))
    parser.add_argument("--kafka", default=os.environ.get("RUNFOLD_KAFKA", "localhost:9092"))
    parser.add_argument("--events-topic", default="runfold.events")
    parser.add_argument("--group", default="completed-runs")
    parser.add_argument("--api", default="http://127.0.0.1:8765", help="its token: RUNFOLD_TOKEN")
    parser.add_argument(
        "--quiet-s", type=float, default=30.0, help="ask the API after so long without events"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="librdkafka setting")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
