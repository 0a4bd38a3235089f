"""Every bound of the contract, in one place, with its unit in its name.

Ours are larger than Azure ML's where users ran into those; the shape of the error is Azure's:
field, limit, size, and nothing is applied.
"""

from __future__ import annotations

from typing import Final

# Names and ids
WORKSPACE_NAME_CHARS_MAX: Final = 64
EXPERIMENT_NAME_CHARS_MAX: Final = 255
RUN_ID_CHARS_MAX: Final = 256
RUN_NAME_CHARS_MAX: Final = 1_024
DISPLAY_NAME_CHARS_MAX: Final = 512
DESCRIPTION_CHARS_MAX: Final = 20_000
TARGET_CHARS_MAX: Final = 256
RUN_TYPE_CHARS_MAX: Final = 256
ACTOR_CHARS_MAX: Final = 256
REASON_CHARS_MAX: Final = 4_096
TRACEPARENT_CHARS_MAX: Final = 128
IDEMPOTENCY_KEY_CHARS_MAX: Final = 256
RUN_DEPTH_MAX: Final = 32

# Key-value data of a run
TAGS_PER_RUN_MAX: Final = 1_000
TAG_KEY_CHARS_MAX: Final = 256
TAG_VALUE_CHARS_MAX: Final = 5_000
PROPERTIES_PER_RUN_MAX: Final = 1_000
PROPERTY_KEY_CHARS_MAX: Final = 256
PROPERTY_VALUE_CHARS_MAX: Final = 10_000
PARAMS_PER_RUN_MAX: Final = 5_000
PARAM_KEY_CHARS_MAX: Final = 256
PARAM_VALUE_CHARS_MAX: Final = 10_000
ARTIFACTS_PER_RUN_MAX: Final = 10_000
ARTIFACT_PATH_CHARS_MAX: Final = 1_024
CONTENT_TYPE_CHARS_MAX: Final = 256

# Contents of files, logs, snapshots
FILE_BYTES_MAX: Final = 100 * 1024**3
FILE_WAIT_S_MAX: Final = 60.0  # without a byte of an upload
LOG_BYTES_MAX: Final = 10 * 1024**3
LOG_APPEND_BYTES_MAX: Final = 4 * 1024 * 1024
LOG_READ_BYTES_MAX: Final = 4 * 1024 * 1024
LOGS_PER_RUN_MAX: Final = 1_000  # being written at once
SNAPSHOT_BYTES_MAX: Final = 1024**3
SNAPSHOT_FILES_MAX: Final = 10_000

# Errors of a failed run
ERROR_CODE_CHARS_MAX: Final = 256
ERROR_MESSAGE_CHARS_MAX: Final = 32_768
ERROR_TRACEBACK_CHARS_MAX: Final = 65_536

# Metrics
METRIC_SERIES_PER_BATCH_MAX: Final = 10_000
METRIC_POINTS_PER_BATCH_MAX: Final = 100_000
METRIC_NAME_CHARS_MAX: Final = 512
METRIC_COLUMNS_PER_SERIES_MAX: Final = 256
METRIC_COLUMN_NAME_CHARS_MAX: Final = 255
METRIC_TEXT_VALUE_CHARS_MAX: Final = 4_096
METRIC_DESCRIPTION_CHARS_MAX: Final = 1_000
METRIC_BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
METRIC_BATCH_DECOMPRESSED_BYTES_MAX: Final = 32 * 1024 * 1024

# Messages
COMMAND_BYTES_MAX: Final = 5 * 1024 * 1024  # smaller than an event, so what was accepted can be published
EVENT_BYTES_MAX: Final = 8 * 1024 * 1024
EVENT_ENVELOPE_BYTES_MAX: Final = 16 * 1024  # what is left of an event for everything but its body
EVENT_BODY_BYTES_MAX: Final = EVENT_BYTES_MAX - EVENT_ENVELOPE_BYTES_MAX
REQUEST_BODY_BYTES_MAX: Final = 8 * 1024 * 1024
REQUEST_NESTING_DEPTH_MAX: Final = 64
COMMANDS_PER_REQUEST_MAX: Final = 10_000
OUTCOMES_PER_REQUEST_MAX: Final = 10_000
CHILDREN_PER_REQUEST_MAX: Final = 10_000
TRANSACTION_COMMANDS_MAX: Final = (
    1_000  # decided while the partition's row is held, which an engine bounds by time
)
WRITER_SEQ_MAX: Final = 2**63 - 1
WRITER_GAPS_MAX: Final = 1_000

# Queries
PAGE_ROWS_MAX: Final = 1_000
PAGE_ROWS_DEFAULT: Final = 50
FILTER_CHARS_MAX: Final = 8_192
FILTER_NODES_MAX: Final = 256
FILTER_DEPTH_MAX: Final = 32
FIELDS_MAX: Final = 100
SEARCH_WORDS_MAX: Final = 16
GROUP_ROWS_MAX: Final = 2_000  # counts of one status in one group, of one question
EVENTS_PAGE_ROWS_MAX: Final = 1_000
CURVE_RUNS_MAX: Final = 1_000
CURVE_NAMES_MAX: Final = 1_000
CURVES_PER_ANSWER_MAX: Final = 1_000
CURVE_POINTS_PER_ANSWER_MAX: Final = 1_000_000
POSITION_WAIT_S_MAX: Final = 30.0

# Liveness
LEASE_S: Final = 120.0
HEARTBEAT_INTERVAL_S: Final = 5.0

# Numbers
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
STEP_MIN: Final = INT64_MIN + 1  # INT64_MIN itself means "no step" inside packed columns
STEP_MAX: Final = INT64_MAX
TIME_US_MIN: Final = -62_135_596_800_000_000  # 0001-01-01 and 9999-12-31: what RFC 3339 can write
TIME_US_MAX: Final = 253_402_300_799_999_999
SLICES: Final = 1_024
PARTITIONS_EMBEDDED: Final = 1
PARTITIONS_SERVER_DEFAULT: Final = 16
