"""The Studio: a browser's view of the runs. Its program is built from ``studio/`` into ``static/`` beside this file."""
