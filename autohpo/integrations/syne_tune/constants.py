"""Names of arguments, environment variables and columns that programs for Syne Tune share with the tuner."""

SYNE_TUNE_ENV_FOLDER = "SYNETUNE_FOLDER"
"""The environment variable with the folder of all experiments."""

SYNE_TUNE_DEFAULT_FOLDER = "syne-tune"
"""The folder of all experiments below the home folder, where the environment variable is not set."""

ST_CHECKPOINT_DIR = "st_checkpoint_dir"
"""The argument of a script that has the folder of its checkpoints."""

ST_CONFIG_JSON_FNAME_ARG = "st_config_json_filename"
"""The argument of a script that has the file of its configuration, where that is handed over in a file."""

ST_METRIC_TAG = "tune-metric"
"""The tag of a printed line that is a report."""

ST_WORKER_ITER = "st_worker_iter"
"""The column with the number of reports before this one, since the script was started."""

ST_WORKER_TIME = "st_worker_time"
"""The column with the seconds since the reporter was made."""

ST_WORKER_TIMESTAMP = "st_worker_timestamp"
"""The column with the Unix time of a report."""

ST_WORKER_COST = "st_worker_cost"
"""The column with what a trial has cost so far."""

ST_TRIAL_ID = "trial_id"
"""The column with the number of a trial, from 0; a trial that is resumed keeps it."""

ST_TUNER_TIME = "st_tuner_time"
"""The column with the seconds from the start of the search to a report."""

ST_TUNER_TIMESTAMP = "st_tuner_timestamp"
"""The column with the Unix time at which a report was taken."""

ST_DECISION = "st_decision"
"""The column with what was decided on a report: CONTINUE, PAUSE or STOP."""

ST_STATUS = "st_status"
"""The column with the status of the trial when it reported."""

ST_TUNER_CREATION_TIMESTAMP = "st_tuner_creation_timestamp"
"""The entry of the metadata with the Unix time at which the tuner was made."""

ST_TUNER_START_TIMESTAMP = "st_tuner_start_timestamp"
"""The entry of the metadata with the Unix time at which the tuner was run."""

ST_METADATA_FILENAME = "metadata.json"
"""The file with the metadata of an experiment."""

ST_STORE_FILENAME = "run.db"
"""The file with the store of an experiment: every event of it."""

TUNER_DEFAULT_SLEEP_TIME = 5.0
"""The default of the tuner's `sleep_time`, which has no effect here."""
