"""What is to be executed: the definition of a submitted run, recorded as a file of the run."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from runfold_events.contract.errors import Invalid

DEFINITION_PATH: Final = ".runfold/run_definition.json"  # among the files of the run that lists leave out
DEFINITION_BYTES_MAX: Final = 4 * 1024 * 1024
LOG_PATH: Final = "user_logs/std_log.txt"  # what the script prints
AGENT_LOG_PATH: Final = "system_logs/agent_log.txt"  # what its agent has to say
RUN_TYPE: Final = "azureml.scriptrun"
SNAPSHOT_PROPERTY: Final = "ContentSnapshotId"
OUTPUTS: Final = "outputs"
FAILING: Final = "the script failed; what it left is being stored"  # details of Finalizing
AZUREML: Final = "RUNFOLD_AZUREML"  # among a script's variables: its `import azureml` is to find runfold
_NO: Final = frozenset({"", "0", "false", "no", "off"})
WhenLost = Literal["fail", "again"]


class RunDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent executes. Fields are only added, with defaults.

    Exactly one of ``script`` and ``command`` is given.

    Attributes:
        script: relative to the snapshot's root, run by ``interpreter``.
        command: a text for the shell, or words.
        arguments: of the script.
        interpreter: ``python`` is the agent's own.
        environment_variables: for the script, beside the agent's own.
        snapshot_id: what the working copy is made from.
        collects_outputs: whether ``outputs/`` is stored at the end.
        watched_folders: whose files are stored while they grow.
        duration_s_max: the run is failed when its script takes longer.
        when_lost: what another agent does when this run's agent is gone.
        grace_s: seconds from SIGTERM to SIGKILL.
        warnings: what was asked for and will not be done.
        configuration: the run configuration as its file would have it, for people to read.
    """

    version: int = 1
    script: str | None = None
    command: str | tuple[str, ...] | None = None
    arguments: tuple[str, ...] = ()
    interpreter: str = "python"
    environment_variables: dict[str, str] = {}
    snapshot_id: str
    collects_outputs: bool = True
    watched_folders: tuple[str, ...] = ("logs",)
    duration_s_max: float | None = None
    when_lost: WhenLost = "fail"
    grace_s: float = 3.0
    warnings: tuple[str, ...] = ()
    configuration: dict[str, Any] = {}

    @property
    def speaks_azureml(self) -> bool:
        """Whether the script is started so that its ``import azureml`` finds runfold."""
        return self.environment_variables.get(AZUREML, "").strip().lower() not in _NO


def encode_definition(definition: RunDefinition) -> bytes:
    """The bytes of the recorded file; ``Invalid`` when they are too many."""
    data = msgspec.json.encode(definition)
    if len(data) > DEFINITION_BYTES_MAX:
        raise Invalid(
            f"the definition of a run may have {DEFINITION_BYTES_MAX} bytes; it has {len(data)}",
            facts={"field": "run_config", "limit": DEFINITION_BYTES_MAX, "size": len(data)},
        )
    return data


def decode_definition(data: bytes) -> RunDefinition:
    """The definition that a recorded file holds; ``Invalid`` when it holds none."""
    try:
        definition = msgspec.json.decode(data, type=RunDefinition)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            f"{DEFINITION_PATH} is no definition of a run: {error}", facts={"field": DEFINITION_PATH}
        ) from None
    if (definition.script is None) == (definition.command is None):
        raise Invalid(f"{DEFINITION_PATH} must name a script or a command", facts={"field": DEFINITION_PATH})
    return definition
