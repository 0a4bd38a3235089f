"""Scripts written for the Azure ML SDK run unchanged: ``from azureml.core import Workspace`` finds runfold's.

    import runfold.azureml

    runfold.azureml.install()
    from azureml.core import Experiment, Workspace

or, without a line in the script, ``RUNFOLD_AZUREML=1 python -m runfold script.py``; scripts that are submitted from
there are started so, too. Nothing happens until one of the two asks for it, no other name is ever answered, and where
the real ``azureml`` can be imported :func:`install` refuses.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from runfold import exceptions
from runfold._version import VERSION as _RUNFOLD_VERSION
from runfold.errors import RunfoldError

SPOKEN: Final = "1.61.0"  # the version of azureml-core whose names, signatures and shapes runfold has
VERSION: Final = f"{SPOKEN}+runfold.{_RUNFOLD_VERSION}"
_ROOT: Final = "azureml"

_RUN: Final = {"Run": "runfold:Run", "get_run": "runfold._azureml_names:get_run"}
_WORKSPACE: Final = {"Workspace": "runfold:Workspace"}
_EXPERIMENT: Final = {"Experiment": "runfold:Experiment"}
_COMPUTE: Final = {"ComputeTarget": "runfold:ComputeTarget"}
_SCRIPT: Final = {"ScriptRunConfig": "runfold:ScriptRunConfig"}
_SCRIPT_RUN: Final = {"ScriptRun": "runfold._script_run:ScriptRun"}
_ENVIRONMENT: Final = {"Environment": "runfold:Environment"}
_RUN_CONFIGURATION: Final = {"RunConfiguration": "runfold:RunConfiguration"}
_RUN_CONFIGURATION_PARTS: Final = (
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "LOCAL",
    "DockerConfiguration",
    "DockerSection",
    "HistoryConfiguration",
    "PythonSection",
)
_VERSION: Final = {"VERSION": f"{__name__}:VERSION", "__version__": f"{__name__}:VERSION"}
_EXCEPTIONS: Final = tuple(exceptions.__all__)
_AUTHENTICATION: Final = (
    "ArmTokenAuthentication",
    "AzureCliAuthentication",
    "InteractiveLoginAuthentication",
    "MsiAuthentication",
    "ServicePrincipalAuthentication",
)

MODULES: Final[Mapping[str, Mapping[str, str]]] = {
    "azureml": {},
    "azureml.core": {
        **_VERSION,
        **_WORKSPACE,
        **_EXPERIMENT,
        **_RUN,
        **_SCRIPT,
        **_SCRIPT_RUN,
        **_RUN_CONFIGURATION,
        **_ENVIRONMENT,
        **_COMPUTE,
    },
    "azureml.core.workspace": _WORKSPACE,
    "azureml.core.experiment": _EXPERIMENT,
    "azureml.core.run": {**_RUN, "RunStatus": "runfold_events.contract.statuses:Status"},
    "azureml.core.script_run_config": _SCRIPT,
    "azureml.core.script_run": _SCRIPT_RUN,
    "azureml.core.runconfig": {
        **_RUN_CONFIGURATION,
        **{name: f"runfold.runconfig:{name}" for name in _RUN_CONFIGURATION_PARTS},
    },
    "azureml.core.environment": {
        **_ENVIRONMENT,
        **{name: f"runfold.environment:{name}" for name in ("DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE")},
    },
    "azureml.core.compute": _COMPUTE,
    "azureml.core.compute_target": _COMPUTE,
    "azureml.core.authentication": dict.fromkeys(_AUTHENTICATION, "runfold._azureml_names:Authentication"),
    "azureml.exceptions": {name: f"runfold.exceptions:{name}" for name in _EXCEPTIONS},
}
"""Per module, its names and where each is: ``module:attribute``."""

# Names that scripts import from azureml.core and that mean something in Azure itself.
_NEED_AZURE: Final = frozenset(
    {"Dataset", "Datastore", "Image", "Keyvault", "LinkedService", "Model", "Webservice"}
)


def install(*, force: bool = False) -> None:
    """Let ``import azureml.core`` and its like find runfold, in this process. Again: nothing happens.

    Args:
        force: also where the real ``azureml`` could be imported; all of it is out of reach then.

    Raises:
        RunfoldError: something else called ``azureml`` can be imported; nothing was changed.
    """
    if is_installed():
        return
    real = _real_place()
    if real is not None and not force:
        raise RunfoldError(
            f"another azureml is importable here, from {real}: a script could mean either. Remove it from this "
            "environment, or insist: runfold.azureml.install(force=True), RUNFOLD_AZUREML=force",
            code="azureml_present",
            facts={"place": real},
        )
    _forget()
    sys.meta_path.insert(0, _Finder())


def uninstall() -> None:
    """Undo :func:`install`. Names that were imported meanwhile stay with those who have them."""
    if is_installed():
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        _forget()


def is_installed() -> bool:
    """Whether :func:`install` has been called."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def _real_place() -> str | None:
    """Where an ``azureml`` is that is not ours; None: nowhere."""
    loaded = sys.modules.get(_ROOT)
    spec = find_spec(_ROOT) if loaded is None else loaded.__spec__
    if spec is None:
        return None if loaded is None else str(loaded)
    return spec.origin or ", ".join(spec.submodule_search_locations or ()) or spec.name


def _forget() -> None:
    for name in [name for name in sys.modules if name == _ROOT or name.startswith(f"{_ROOT}.")]:
        del sys.modules[name]


class _Finder(MetaPathFinder):
    """Finds the modules of :data:`MODULES`, and says of others below ``azureml`` why they are not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MODULES:
            is_package = any(name.startswith(f"{fullname}.") for name in MODULES)
            return ModuleSpec(fullname, _Loader(), origin="runfold.azureml", is_package=is_package)
        if fullname.startswith(f"{_ROOT}."):
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: runfold stands in for {', '.join(list(MODULES)[1:])}; "
                "the rest needs Azure itself",
                name=fullname,
            )
        return None


class _Loader(Loader):
    """Fills a module from its row of :data:`MODULES`."""

    def exec_module(self, module: ModuleType) -> None:
        names = MODULES[module.__name__]
        module.__doc__ = f"Stands in for {module.__name__}; see runfold.azureml."
        for name, place in names.items():
            where, _, attribute = place.partition(":")
            setattr(module, name, getattr(importlib.import_module(where), attribute))
        vars(module)["__all__"] = [name for name in names if not name.startswith("__")]
        vars(module)["__getattr__"] = _absent(module.__name__)


def _absent(module: str) -> Callable[[str], Any]:
    """What a module says of names that it lacks."""

    def answer(name: str) -> Any:
        if name in _NEED_AZURE:
            # No AttributeError: `from … import …` would replace its words by its own.
            raise ImportError(f"{module}.{name} needs Azure itself; runfold records runs and their files")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return answer
