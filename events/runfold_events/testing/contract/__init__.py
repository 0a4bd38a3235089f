"""The parts of the store's contract suite; adapters subclass what ``runfold_events.testing.store_contract`` exports."""
