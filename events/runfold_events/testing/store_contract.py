"""The contract suite of the ``EventStore`` port: the behaviour of every method, run against every adapter.

An adapter's test module holds a few lines: a subclass whose name begins with ``Test`` and that says how to open the
store. A known gap is overridden there with ``pytest.mark.xfail(strict=True, reason=...)``.
"""

from __future__ import annotations

from runfold_events.testing.contract.appending import ErasureContract, StateContract, TransactionContract
from runfold_events.testing.contract.base import LOCK_TIMEOUT_S, ContractBase, Scene
from runfold_events.testing.contract.leases import LeaseContract
from runfold_events.testing.contract.reading import CloseContract, NumbersContract, ReadContract
from runfold_events.testing.contract.sharing import SharingContract

__all__ = ["LOCK_TIMEOUT_S", "ContractBase", "Scene", "SharedStoreContract", "StoreContract"]


class StoreContract(
    TransactionContract,
    StateContract,
    ErasureContract,
    ReadContract,
    NumbersContract,
    LeaseContract,
    CloseContract,
):
    """Everything that holds for any store, also for one in memory."""


class SharedStoreContract(StoreContract, SharingContract):
    """Everything that holds for a store that is kept and shared."""
