"""A small model of the ledger in plain dicts: what each command must be answered, and what it leaves.

It knows nothing of the implementation: commands are a name and a dict of fields, answers are tuples, time is a number.

    ("ok", events)           accepted with events of these types, maybe none
    ("no", code, events)     refused; events is ("command_rejected",) when the refusal is recorded; code "" is any code
    ("any",)                 the design does not say
"""

from __future__ import annotations

from typing import Any, Final

Answer = tuple[Any, ...]
Fields = dict[str, Any]
Stream = tuple[str, str]  # ("run" | "experiment", name)

OVER: Final = {"complete": "Completed", "fail": "Failed", "cancel": "Canceled"}
ENDS: Final = set(OVER.values())
DATA: Final = {"params": "params_logged", "properties": "properties_added"}
NOTHING: Final[Answer] = ("ok", ())
CONTENT: Final = ("experiment", "parent", "tags", "properties", "start", "name")


def recorded(code: str) -> Answer:
    return ("no", code, ("command_rejected",))


def unrecorded(code: str) -> Answer:
    return ("no", code, ())


def new_mark() -> Fields:
    return {"highest": 0, "last": None, "blocked": False, "answers": {}, "contents": {}, "lost": set()}


class Model:
    """Experiments, runs, writers' numbers and leases."""

    def __init__(self) -> None:
        self.now = 0
        self.experiments: dict[str, Fields] = {}
        self.runs: dict[str, Fields] = {}
        self.marks: dict[tuple[Stream, str], Fields] = {}
        self.leases: dict[str, int] = {}  # process: end
        self.events: dict[Stream, list[str]] = {}

    def handle(
        self, stream: Stream, writer: str, number: int, name: str, fields: Fields, hold: bool = False
    ) -> Answer:
        """The answer to one command; what it changes is changed."""
        mark = self.marks.get((stream, writer)) or new_mark()
        if number <= mark["highest"]:
            return self._known(stream, mark, number, name, repr(fields))
        if mark["blocked"]:
            return unrecorded("")
        if number > mark["highest"] + 1:
            return unrecorded("sequence_gap")
        answer = self._decide(stream, writer, name, fields, hold)
        if answer[0] == "no" and not answer[-1]:
            return answer
        self.marks[stream, writer] = mark
        if answer[0] != "again":
            self.events.setdefault(stream, []).extend(answer[-1])
        mark["answers"][number] = answer
        mark["contents"][number] = mark["last"] = (name, repr(fields))
        mark["highest"] = number
        mark["blocked"] = answer[0] == "no" and name == "create"
        if name == "declare_lost" and answer[0] == "ok":
            mark["highest"] = fields["last"]
            mark["lost"] |= set(range(number, fields["last"] + 1))
        if name == "erase" and answer[0] == "ok":
            mark["last"] = None
        if "erased" in answer[-1]:
            for (other, _), theirs in self.marks.items():
                theirs["last"] = None if other == stream else theirs["last"]
        return ("ok", answer[1]) if answer[0] == "again" else answer

    def _known(self, stream: Stream, mark: Fields, number: int, name: str, fields: str) -> Answer:
        is_first = mark["contents"].get(number) == (name, fields)
        if number in mark["lost"]:
            return mark["answers"][number] if is_first else unrecorded("")
        if name == "declare_lost" or (
            number == mark["highest"] and mark["last"] not in (None, (name, fields))
        ):
            return unrecorded("idempotency_conflict")
        first: Answer = mark["answers"][number]
        if not is_first and (name == "create" or first[0] == "again"):
            return ("any",)  # other content below the highest number: nothing is kept to tell it by
        if first[0] == "again":
            return ("ok", first[1])
        if first[0] == "no":
            erased = stream in self._erased()
            return recorded("conflict") if erased else first
        return ("ok", tuple(event for event in first[1] if event != "metrics_logged"))

    def _erased(self) -> set[Stream]:
        return {("run", name) for name, run in self.runs.items() if run["erased"]}

    # Decisions

    def _decide(self, stream: Stream, writer: str, name: str, fields: Fields, hold: bool) -> Answer:
        if stream[0] == "experiment":
            return self._experiment(stream[1], name, fields)
        run = self.runs.get(stream[1])
        if run is not None and run["erased"]:
            if name == "claim":
                return unrecorded("conflict")
            return NOTHING if name == "erase" else recorded("conflict")
        if name == "create":
            answer = (
                self._create(stream[1], fields) if run is None else self._again(run, writer, fields, hold)
            )
        elif run is None:
            return unrecorded("not_found")
        else:
            refused = name == "claim" and not hold and run["status"] not in ENDS
            answer = unrecorded("conflict") if refused else getattr(self, f"_{name}")(run, fields, writer)
        takes = name in ("start", "claim") or (name == "create" and (fields["start"] or fields.get("resume")))
        self._settle(self.runs.get(stream[1]), writer, holds=bool(hold and takes and answer[0] != "no"))
        if hold and name in ("start", "claim") and answer[0] == "ok" and answer[1]:
            run = self.runs[stream[1]]
            run["holders"] &= self.live(run) | {
                writer
            }  # who was gone when it was taken over does not hold it again
        return answer

    def _settle(self, run: Fields | None, writer: str, *, holds: bool) -> None:
        """Who holds the run afterwards."""
        if run is not None and holds:
            run["holders"].add(writer)
        if run is not None and (run["status"] in ENDS or run["erased"]):
            run["holders"].clear()

    def _experiment(self, name: str, command: str, fields: Fields) -> Answer:
        known = self.experiments.get(name)
        if command == "ensure":
            if known is not None:
                return NOTHING
            self.experiments[name] = {"tags": {}}
            return ("ok", ("experiment.created",))
        if known is None:
            return unrecorded("not_found")
        if known["tags"] | fields["set_tags"] == known["tags"]:
            return NOTHING
        known["tags"] |= fields["set_tags"]
        return ("ok", ("experiment.updated",))

    def _create(self, run_id: str, fields: Fields) -> Answer:
        parent = fields.get("parent")
        if fields["experiment"] not in self.experiments or (parent is not None and parent not in self.runs):
            return unrecorded("not_found")
        self.runs[run_id] = {
            "status": "Running" if fields["start"] else "NotStarted",
            "content": {key: fields.get(key) for key in CONTENT},
            "path": [*(self.runs[parent]["path"] if parent else []), run_id],
            "tags": dict(fields.get("tags", {})),
            "properties": dict(fields.get("properties", {})),
            "params": {},
            "files": {},
            "archived": False,
            "erased": False,
            "before": None,
            "holders": set(),
        }
        return ("ok", ("created", "started") if fields["start"] else ("created",))

    def _again(self, run: Fields, writer: str, fields: Fields, hold: bool) -> Answer:
        if not fields.get("resume"):
            if run["content"] != {key: fields.get(key) for key in CONTENT}:
                return recorded("conflict")
            return ("again", ("created", "started") if fields["start"] else ("created",))
        if run["content"]["experiment"] != fields["experiment"]:
            return recorded("conflict")
        if run["status"] in ENDS:
            return recorded("run_ended")
        if run["status"] == "NotResponding" and (hold or self.live(run)):
            return self._find(run)
        if run["status"] == "NotStarted" and fields["start"]:
            return self._become(run, "Running", "started")
        return NOTHING

    def live(self, run: Fields) -> set[str]:
        """The processes that hold the run and whose lease has not ended."""
        return {process for process in run["holders"] if self.leases.get(process, 0) > self.now}

    def _become(self, run: Fields, status: str, event: str) -> Answer:
        run["before"] = run["status"] if status == "NotResponding" else None
        run["status"] = status
        return ("ok", (event,))

    def _find(self, run: Fields) -> Answer:
        return self._become(run, run["before"], "found")

    def _start(self, run: Fields, fields: Fields, writer: str) -> Answer:
        if run["status"] in ENDS:
            return recorded("run_ended")
        if self.live(run) - {writer} or run["status"] in ("CancelRequested", "Finalizing"):
            return recorded("conflict")
        return NOTHING if run["status"] == "Running" else self._become(run, "Running", "started")

    def _advance(self, run: Fields, fields: Fields, writer: str) -> Answer:
        if run["status"] in ENDS:
            return recorded("run_ended")
        if run["status"] == "CancelRequested" and fields["status"] != "Finalizing":
            return recorded("conflict")
        return (
            NOTHING if run["status"] == fields["status"] else self._become(run, fields["status"], "advanced")
        )

    def _claim(self, run: Fields, fields: Fields, writer: str) -> Answer:
        if run["status"] in ENDS:
            return unrecorded("run_ended")
        if self.live(run) - {writer} or run["status"] != "Starting":
            return unrecorded("conflict")
        return self._become(run, "Preparing", "advanced")

    def _request_cancel(self, run: Fields, fields: Fields, writer: str) -> Answer:
        if run["status"] in ENDS or not self.live(run):
            return self._end(run, "Canceled", "canceled")
        asked = run["status"] == "CancelRequested"
        return NOTHING if asked else self._become(run, "CancelRequested", "cancel_requested")

    def _end(self, run: Fields, status: str, event: str) -> Answer:
        if run["status"] in ENDS:
            return NOTHING if run["status"] == status else recorded("run_ended")
        return self._become(run, status, event)

    def _complete(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._end(run, "Completed", "completed")

    def _fail(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._end(run, "Failed", "failed")

    def _cancel(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._end(run, "Canceled", "canceled")

    def is_lost(self, run: Fields) -> bool:
        """It was held, has not ended, and its last holder is gone."""
        return bool(run["holders"]) and not self.live(run) and run["status"] not in ENDS

    def _mark_lost(self, run: Fields, fields: Fields, writer: str) -> Answer:
        if not self.is_lost(run) or run["status"] == "NotResponding":
            return NOTHING
        if run["status"] == "CancelRequested":
            return self._end(run, "Canceled", "canceled")
        return self._become(run, "NotResponding", "lost")

    def _mark_found(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._find(run) if run["status"] == "NotResponding" and self.live(run) else NOTHING

    def _log_metrics(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return ("ok", ("metrics_logged",))

    def _write_once(self, run: Fields, what: str, values: Fields) -> Answer:
        there = run[what]
        if any(key in there and repr(there[key]) != repr(value) for key, value in values.items()):
            return recorded("property_immutable" if what == "properties" else "parameter_immutable")
        if values.keys() <= there.keys():
            return NOTHING
        run[what] = there | values
        return ("ok", (DATA[what],))

    def _log_params(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._write_once(run, "params", fields["params"])

    def _add_properties(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return self._write_once(run, "properties", fields["properties"])

    def _set_tags(self, run: Fields, fields: Fields, writer: str) -> Answer:
        before, run["tags"] = run["tags"], run["tags"] | fields["tags"]
        return NOTHING if before == run["tags"] else ("ok", ("tags_set",))

    def _remove_tags(self, run: Fields, fields: Fields, writer: str) -> Answer:
        before = run["tags"]
        run["tags"] = {key: value for key, value in before.items() if key not in fields["keys"]}
        return NOTHING if before == run["tags"] else ("ok", ("tags_removed",))

    def _archive(self, run: Fields, fields: Fields, writer: str) -> Answer:
        before, run["archived"] = run["archived"], True
        return NOTHING if before else ("ok", ("archived",))

    def _restore(self, run: Fields, fields: Fields, writer: str) -> Answer:
        before, run["archived"] = run["archived"], False
        return ("ok", ("restored",)) if before else NOTHING

    def _record_artifact(self, run: Fields, fields: Fields, writer: str) -> Answer:
        there = run["files"].setdefault(fields["path"], None)
        run["files"][fields["path"]] = there or fields["sha256"]
        if there is None:
            return ("ok", ("artifact_recorded",))
        return NOTHING if there == fields["sha256"] else recorded("conflict")

    def _declare_lost(self, run: Fields, fields: Fields, writer: str) -> Answer:
        return ("ok", ("commands_lost",))

    def _erase(self, run: Fields, fields: Fields, writer: str) -> Answer:
        run |= {"erased": True, "tags": {}, "properties": {}, "params": {}, "archived": False}
        return ("ok", ("erased",))
