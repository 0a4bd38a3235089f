"""Names and signatures are Azure ML's."""

from __future__ import annotations

import inspect
import re
import sys

import pytest

from runfold import (
    Experiment,
    Run,
    Workspace,
)

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


# ── signatures ────────────────────────────────────────────────────────────────────────────────────────────


# As `inspect` shows them for azureml-core 1.61; ours may add keyword-only arguments.
AZURE_SIGNATURES = {
    Run: {
        "add_properties": "(self, properties)",
        "cancel": "(self)",
        "child_run": "(self, name=None, run_id=None, outputs=None)",
        "complete": "(self, _set_status=True)",
        "create_children": "(self, count=None, tag_key=None, tag_values=None)",
        "download_file": "(self, name, output_file_path=None, _validate_checksum=False)",
        "download_files": (
            "(self, prefix=None, output_directory=None, output_paths=None, batch_size=100, append_prefix=True, "
            "timeout_seconds=None)"
        ),
        "fail": "(self, error_details=None, error_code=None, _set_status=True)",
        "flush": "(self, timeout_seconds=300)",
        "get": "(workspace, run_id)",
        "get_all_logs": "(self, destination=None)",
        "get_context": "(allow_offline=True, used_for_context_manager=False, **kwargs)",
        "get_details_with_logs": "(self)",
        "get_environment": "(self)",
        "get_submitted_run": "(**kwargs)",
        "submit_child": "(self, config, tags=None, **kwargs)",
        "get_children": (
            "(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True)"
        ),
        "get_detailed_status": "(self)",
        "get_details": "(self)",
        "get_file_names": "(self)",
        "get_metrics": "(self, name=None, recursive=False, run_type=None, populate=False)",
        "get_portal_url": "(self)",
        "get_properties": "(self)",
        "get_snapshot_id": "(self)",
        "get_status": "(self)",
        "get_tags": "(self)",
        "list": (
            "(experiment, type=None, tags=None, properties=None, status=None, include_children=False, "
            "_rehydrate_runs=True)"
        ),
        "log": "(self, name, value, description='', step=None)",
        "log_accuracy_table": "(self, name, value, description='')",
        "log_confusion_matrix": "(self, name, value, description='')",
        "log_image": "(self, name, path=None, plot=None, description='')",
        "log_list": "(self, name, value, description='')",
        "log_predictions": "(self, name, value, description='')",
        "log_residuals": "(self, name, value, description='')",
        "log_row": "(self, name, description=None, **kwargs)",
        "log_table": "(self, name, value, description='')",
        "remove_tags": "(self, tags)",
        "restore_snapshot": "(self, snapshot_id=None, path=None)",
        "set_tags": "(self, tags)",
        "start": "(self)",
        "tag": "(self, key, value=None)",
        "take_snapshot": "(self, file_or_folder_path)",
        "upload_file": "(self, name, path_or_stream, datastore_name=None)",
        "upload_files": (
            "(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None)"
        ),
        "upload_folder": "(self, name, path, datastore_name=None)",
        "wait_for_completion": "(self, show_output=False, wait_post_processing=False, raise_on_error=True)",
    },
    Experiment: {
        "archive": "(self)",
        "get_portal_url": "(self)",
        "get_runs": "(self, type=None, tags=None, properties=None, include_children=False)",
        "list": "(workspace, experiment_name=None, view_type='ActiveOnly', tags=None)",
        "reactivate": "(self, new_name=None)",
        "refresh": "(self)",
        "remove_tags": "(self, tags)",
        "set_tags": "(self, tags)",
        "submit": "(self, config, tags=None, **kwargs)",
        "tag": "(self, key, value=None)",
    },
    Workspace: {
        "from_config": "(path=None, auth=None, _logger=None, _file_name=None)",
        "get_details": "(self)",
        "get_run": "(self, run_id)",
        "write_config": "(self, path=None, file_name=None)",
    },
}


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [(owner, name, text) for owner, calls in AZURE_SIGNATURES.items() for name, text in calls.items()],
)
def test_signatures_are_azures(owner: type, name: str, expected: str) -> None:
    signature = inspect.signature(getattr(owner, name))
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    shown = inspect.Signature(bare)

    assert str(shown) == expected


def test_nothing_of_a_later_version_is_there_yet() -> None:
    """An attribute that does nothing would be worse than none."""
    for name in ("register_model",):
        assert not hasattr(Run, name)
    assert "runfold.submit" not in sys.modules
