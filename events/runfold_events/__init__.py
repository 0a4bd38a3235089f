"""runfold events: what is true. Contract, rules, ledger, stores."""
