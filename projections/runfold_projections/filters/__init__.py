"""The filter language of run lists: text → tokens → tree → parameterised SQL. See docs/filter-language.md."""
