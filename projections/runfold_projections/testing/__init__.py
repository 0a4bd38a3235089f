"""What tests of views need, also tests of other adapters: a source of events, and the contract suite."""
