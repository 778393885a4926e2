-- What Kubernetes has no place for, one row a process. A process is (app_guid, type) and not a Deployment: the row stays
-- when the Deployment is made anew.
CREATE TABLE process_metadata (
    app_guid text NOT NULL,
    type text NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    annotations jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(annotations) = 'object'),
    log_rate_limit_in_bytes_per_second bigint NOT NULL DEFAULT -1 CHECK (log_rate_limit_in_bytes_per_second >= -1),
    revision_guid text,
    registry_credential_guid text,
    registry_credential_last_synced_at timestamptz,
    updated_at timestamptz NOT NULL,
    -- The value of metadata_counter when the row was last written: readers fetch what is above the highest they know.
    stamp bigint NOT NULL,
    PRIMARY KEY (app_guid, type)
);

CREATE INDEX process_metadata_stamp ON process_metadata (stamp, app_guid, type);

-- One row. Every write transaction increments it first; the row lock it then holds until it commits makes the order of
-- stamps the order of commits, so that nobody who has seen stamp n can ever miss one below it.
CREATE TABLE metadata_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value bigint NOT NULL
);

INSERT INTO metadata_counter (value) VALUES (0);
