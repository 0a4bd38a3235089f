"""Which Python ``./dev setup`` takes."""

from __future__ import annotations

import sys
import sysconfig

import pytest

from benchmarks.interpreter import described, is_optimised


@pytest.mark.parametrize(
    ("flags", "prefix", "optimised"),
    [
        ("'--prefix=/opt' '--enable-optimizations' '--with-lto'", "/opt", True),
        (
            "'--prefix=/opt/pythons/3.11.7' '--enable-shared'",
            "/opt/pythons/3.11.7",
            False,
        ),
        ("'--enable-shared' '--prefix=/usr' '--with-computed-gotos'", "/usr", True),
        ("'--enable-shared'", "/usr/local", False),
        (None, "C:\\Python313", True),
    ],
)
def test_a_build_without_a_profile_is_told(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, prefix: str, optimised: bool
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": flags}.get)
    monkeypatch.setattr(sys, "base_prefix", prefix)
    assert is_optimised() is optimised
    assert described().startswith(sys.version.split()[0])
    assert ("without" in described()) is not optimised
