"""runfold: record what runs do. The public SDK."""
