"""What Azure ML's runs can do besides: typed handles, lists by compute target, and what needs Azure itself."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final, NoReturn

from runfold._filters import Filter
from runfold._run_base import RunBase
from runfold.errors import Invalid, NeedsAzure

if TYPE_CHECKING:
    from runfold._compute import ComputeTarget
    from runfold._experiment import Experiment
    from runfold._run import Run
    from runfold_projections.model import RunView

    RunFactory = Callable[[Experiment, RunView], Run]

DOCS_URL: Final = "https://docs.microsoft.com/python/api/azureml-core/azureml.core"
_factories: dict[str, RunFactory] = {}


def typed_run(experiment: Experiment, view: RunView) -> Run | None:
    """A handle of the kind that somebody registered for the run's type; None: an ordinary one."""
    factory = None if view.run_type is None else _factories.get(view.run_type)
    return None if factory is None else factory(experiment, view)


class RunAzure(RunBase):
    """Members of Azure ML's ``Run`` that are no other part's."""

    @staticmethod
    def add_type_provider(runtype: str, run_factory: RunFactory) -> None:
        """Have lists and :meth:`get` make their handles on runs of a type by ``run_factory(experiment, view)``.

        Raises:
            ValueError: the type has a provider already.
        """
        if runtype in _factories:
            raise ValueError(f"there is a provider for runs of type {runtype!r} already")
        _factories[runtype] = run_factory

    @staticmethod
    def list_by_compute(
        compute: ComputeTarget,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        status: str | None = None,
    ) -> Iterator[Run]:
        """Runs of any experiment that were submitted to ``compute``, newest first; children too.

        Raises:
            Invalid: a filter of another type, or a status that there is not; when the call is made.
        """
        import msgspec

        from runfold._experiment import run_query

        named = compute.name.replace("'", "''")
        query = msgspec.structs.replace(
            run_query(None, type, tags, properties, status, True), filter=f"target = '{named}'"
        )
        return _runs(compute, query)

    @property
    def identity(self) -> str:
        """What log lines call the run."""
        return f"{type(self).__name__}#{self._run_id}"

    @classmethod
    def get_docs_url(cls) -> str:
        """Azure ML's page about the class, whose names and signatures these are."""
        return f"{DOCS_URL}.run(class)?view=azure-ml-py"

    def clean(self) -> NoReturn:
        """There is nothing to clean: an agent removes a run's working copy when the run has ended.

        Raises:
            Invalid: always, as Azure ML does of a run that left nothing.
        """
        raise Invalid(
            "There is nothing to clean: an agent removes the working copy of a run when the run has ended, unless it "
            "was started with --keep",
            facts={"field": "run_id", "size": self._run_id},
        )

    # What needs Azure itself

    def register_model(  # noqa: PLR0913, PLR0917  # Azure ML's signature
        self,
        model_name: str,
        model_path: str | None = None,
        tags: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Sequence[Any] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **kwargs: Any,
    ) -> NoReturn:
        """There is no model registry here.

        Raises:
            NeedsAzure: always. Keep the model with the run: ``upload_file`` or ``upload_folder``, and a tag.
        """
        raise NeedsAzure(
            "register_model needs Azure's model registry. The run keeps the file itself: upload_file(name, path) or "
            "upload_folder(name, path), and a tag to find it by",
            facts={"call": "register_model"},
        )

    def get_secret(self, name: str) -> NoReturn:
        """There is no key vault here.

        Raises:
            NeedsAzure: always. Hand a secret to a script in an environment variable of the agent.
        """
        raise _no_vault("get_secret")

    def get_secrets(self, secrets: Sequence[str]) -> NoReturn:
        """There is no key vault here; see :meth:`get_secret`.

        Raises:
            NeedsAzure: always.
        """
        raise _no_vault("get_secrets")

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        cells = {
            "Experiment": self._experiment.name,
            "Id": self._run_id,
            "Type": self._seen().run_type,
            "Status": self.status,
            "Details": self._experiment._workspace._web_base() + f"/runs/{self._run_id}",
        }
        return html_table(cells)


def html_table(cells: dict[str, Any]) -> str:
    """One row under its titles; everything escaped."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in cells)
    values = "".join(f"<td>{escape('' if value is None else str(value))}</td>" for value in cells.values())
    return f"<table><tr>{titles}</tr><tr>{values}</tr></table>"


def _runs(compute: ComputeTarget, query: Any) -> Iterator[Run]:
    from runfold._experiment import Experiment
    from runfold._run import run_of_view

    for view in compute.workspace._pages(query):
        yield run_of_view(Experiment._existing(compute.workspace, view.experiment), view)


def _no_vault(call: str) -> NeedsAzure:
    return NeedsAzure(
        f"{call} needs Azure's key vault. Give the script its secret in an environment variable",
        facts={"call": call},
    )
