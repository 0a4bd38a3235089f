"""runfold projections: what can be asked. Folds, views, queries."""
