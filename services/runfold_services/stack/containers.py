"""A stack of containers, where a Docker engine answers.

**Not tried out.** No Docker engine answered where this was written: type checkers have read it, and a stand-in for the
engine is all it has met. Where an engine answers, ``./dev test tests/integration`` runs on containers.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from msgspec import Struct

from runfold_services.stack.base import StackInFolder
from runfold_services.stack.folders import Folder, Plan, new_cluster_id, new_password
from runfold_services.stack.jars import kafka_version
from runfold_services.stack.kafka import broker_properties
from runfold_services.stack.port import PartName, PartStatus, Progress, Source, StackError
from runfold_services.stack.ports import HOST, free_ports
from runfold_services.stack.postgres import DATABASE, SERVER_SETTINGS, USER
from runfold_services.stack.probes import kafka_answers, postgres_answers
from runfold_services.stack.server import START_S_MAX, STOP_S_MAX

if TYPE_CHECKING:
    from docker.models.containers import Container
    from testcontainers.core.docker_client import DockerClient

POSTGRES_IMAGE: Final = "postgres:18"
_KAFKA_PORT: Final = 9092
_CONTROLLER_PORT: Final = 9093
_POSTGRES_PORT: Final = 5432
_ENGINE_S_MAX: Final = 5
_POLL_S: Final = 0.1


def kafka_image() -> str:
    return f"apache/kafka:{kafka_version()}"


def why_no_engine() -> str | None:
    """Why containers cannot be used here; None when an engine answers."""
    if find_spec("testcontainers") is None:
        return "testcontainers is not installed"
    with warnings.catch_warnings():
        # The Docker library forgets the socket of an attempt that fails; whoever collects it gets the warning.
        warnings.simplefilter("ignore", ResourceWarning)
        refusal = _refusal_of_engine()
        gc.collect()
    return refusal


def _refusal_of_engine() -> str | None:
    try:
        from testcontainers.core.docker_client import DockerClient

        client = DockerClient(timeout=_ENGINE_S_MAX).client
        client.ping()
        client.close()
    except Exception as error:  # the Docker library wraps some failures to connect and lets others through
        return f"no Docker engine answers ({' '.join(str(error).split())[:120]})"
    return None


@cache
def engine() -> DockerClient:
    # Not testcontainers' own container class: that one removes what it started when this process ends.
    from testcontainers.core.docker_client import DockerClient

    return DockerClient()


class Recipe(Struct, frozen=True, kw_only=True):
    """How one part is run as a container."""

    part: PartName
    image: str
    environment: dict[str, str]
    inside_port: int
    command: list[str] | None = None
    clean_stop: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    immediate_stop: Literal["SIGKILL", "SIGQUIT"] = "SIGKILL"


def kafka_recipe(plan: Plan) -> Recipe:
    properties = broker_properties(
        listen_host="0.0.0.0",
        listen_port=_KAFKA_PORT,
        advertised=f"{plan.host}:{plan.kafka_port}",
        controller=f"localhost:{_CONTROLLER_PORT}",
        data="/tmp/kraft-combined-logs",
    )
    # The image formats its folder for a quorum that the configuration names.
    properties["controller.quorum.voters"] = f"1@{properties.pop('controller.quorum.bootstrap.servers')}"
    settings = {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in properties.items()}
    heap = f"-Xmx{plan.kafka_heap_mb}m"
    return Recipe(
        part="kafka",
        image=kafka_image(),
        environment={**settings, "CLUSTER_ID": plan.cluster_id, "KAFKA_HEAP_OPTS": heap},
        inside_port=_KAFKA_PORT,
    )


def postgres_recipe(plan: Plan) -> Recipe:
    settings = [word for name, value in SERVER_SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return Recipe(
        part="postgres",
        image=POSTGRES_IMAGE,
        environment={
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": plan.password,
            "POSTGRES_DB": DATABASE,
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8",
        },
        inside_port=_POSTGRES_PORT,
        command=["postgres", *settings],
        clean_stop="SIGINT",
        immediate_stop="SIGQUIT",
    )


class ContainerPart:
    """`Part` by a container. Pausing freezes it, which to its clients is what ``SIGSTOP`` is."""

    def __init__(self, folder: Folder, plan: Plan, recipe: Recipe) -> None:
        self._folder: Final = folder
        self._plan: Final = plan
        self._recipe: Final = recipe

    @property
    def name(self) -> PartName:
        return self._recipe.part

    def start(self) -> None:
        container = self._container()
        if container is None:
            container = self._run()
            self._folder.make(self._folder.part(self.name))
            self._folder.keep_container(self.name, str(container.id))
        elif container.status not in ("running", "paused"):
            container.start()
        self._wait_until_it_answers(container)

    def stop(self, *, clean: bool = True) -> None:
        self._end(self._recipe.clean_stop if clean else self._recipe.immediate_stop)

    def kill(self) -> None:
        self._end("SIGKILL")

    def pause(self) -> None:
        container = self._container()
        if container is not None and container.status == "running":
            container.pause()

    def resume(self) -> None:
        container = self._container()
        if container is not None and container.status == "paused":
            container.unpause()

    def remove(self) -> None:
        container = self._container()
        if container is not None:
            container.remove(force=True, v=True)

    def is_running(self) -> bool:
        container = self._container()
        return container is not None and container.status in ("running", "paused")

    def status(self) -> PartStatus:
        container = self._container()
        running = container is not None and container.status in ("running", "paused")
        host, port = self._plan.address(self.name)
        return PartStatus(
            name=self.name,
            address=f"{host}:{port}",
            running=running,
            answers=running and self._answers(),
            where=str(container.short_id) if container is not None and running else "",
        )

    def _run(self) -> Container:
        host, port = self._plan.address(self.name)
        return engine().run(
            self._recipe.image,
            self._recipe.command,
            detach=True,
            environment=self._recipe.environment,
            # An engine on another machine, or beside the container that this runs in, is not reached by loopback.
            ports={f"{self._recipe.inside_port}/tcp": (HOST if host == HOST else "0.0.0.0", port)},
            labels={"runfold.stack": str(self._folder.path)},
        )

    def _container(self) -> Container | None:
        """The one that this stack started, and no other: its id is kept in the folder."""
        known = self._folder.container(self.name)
        if known is None:
            return None
        from docker.errors import NotFound

        try:
            return engine().client.containers.get(known)
        except NotFound:
            return None

    def _end(self, signal: str) -> None:
        container = self._container()
        if container is None or container.status not in ("running", "paused"):
            return
        if container.status == "paused":
            container.unpause()  # a frozen container takes no signal
        container.kill(signal)
        if not _becomes_true(lambda: not self.is_running(), STOP_S_MAX):
            container.kill("SIGKILL")
            _becomes_true(lambda: not self.is_running(), STOP_S_MAX)

    def _answers(self) -> bool:
        host, port = self._plan.address(self.name)
        return kafka_answers(host, port) if self.name == "kafka" else postgres_answers(host, port, USER)

    def _wait_until_it_answers(self, container: Container) -> None:
        if _becomes_true(lambda: self._answers() or not self.is_running(), START_S_MAX) and self._answers():
            return
        last = bytes(container.logs(tail=3)).decode("utf-8", errors="replace")
        raise StackError(
            f"{self.name} (container {container.short_id}) does not answer: {' / '.join(last.splitlines())}"
        )


class ContainerStack(StackInFolder):
    """Containers that live on when this process ends."""

    kind: ClassVar[Source] = "containers"

    @property
    def kafka(self) -> ContainerPart:
        plan = self.plan()
        return ContainerPart(self.folder, plan, kafka_recipe(plan))

    @property
    def postgres(self) -> ContainerPart:
        plan = self.plan()
        return ContainerPart(self.folder, plan, postgres_recipe(plan))

    def prepare(self, progress: Progress) -> None:
        from docker.errors import DockerException, ImageNotFound

        images = engine().client.images
        for image in (kafka_image(), POSTGRES_IMAGE):
            try:
                images.get(image)
            except ImageNotFound:
                progress(f"pulling {image}")
                try:
                    images.pull(image)
                except DockerException as error:
                    raise StackError(f"the image {image} cannot be pulled: {error}") from error

    def make_plan(self, before: Plan | None) -> Plan:
        """Decided once for good: ports are bound when a container is made."""
        if before is not None:
            return before
        host = engine().host()
        kafka_port, postgres_port = free_ports(2)
        return Plan(
            source=self.kind,
            host=HOST if host == "localhost" else host,
            kafka_port=kafka_port,
            controller_port=_CONTROLLER_PORT,
            postgres_port=postgres_port,
            password=new_password(),
            cluster_id=new_cluster_id(),
            kafka_heap_mb=self.settings.kafka_heap_mb,
        )


def _becomes_true(is_true: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
