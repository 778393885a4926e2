-- What Kubernetes has no place for, one row a process. A process is (namespace, app_guid, type) and not a Deployment: the
-- row stays when the Deployment is made anew. No row means the same as one in which every column has its default.
-- The row of an app itself has the type '', which no process has: it holds the app's own labels and annotations.
CREATE TABLE process_metadata (
    namespace text NOT NULL CHECK (length(namespace) <= 255),
    app_guid text NOT NULL CHECK (length(app_guid) <= 255),
    type text NOT NULL CHECK (length(type) <= 255),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    annotations jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(annotations) = 'object'),
    log_rate_limit_in_bytes_per_second bigint NOT NULL DEFAULT -1 CHECK (log_rate_limit_in_bytes_per_second >= -1),
    revision_guid text CHECK (length(revision_guid) <= 255),
    registry_credential_guid text CHECK (length(registry_credential_guid) <= 255),
    registry_credential_last_synced_at timestamptz
        CHECK (registry_credential_last_synced_at BETWEEN '0001-01-01T00:00Z' AND '9999-12-31T23:59:59.999999Z'),
    -- When somebody last changed the metadata. A row may be there for its instances alone: nobody has then.
    updated_at timestamptz NOT NULL DEFAULT 'epoch'
        CHECK (updated_at BETWEEN '0001-01-01T00:00Z' AND '9999-12-31T23:59:59.999999Z'),
    -- Changes that wait for the half of them that Kubernetes has (service.model.record).
    pending jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(pending) = 'object'),
    -- The Deployment's resourceVersion at the last fold of such a change: no earlier Deployment goes with the row.
    folded_version bigint NOT NULL DEFAULT 0 CHECK (folded_version >= 0),
    -- The resourceVersions that writes have left, for which reads wait.
    deployment_version bigint NOT NULL DEFAULT 0 CHECK (deployment_version >= 0),
    pod_version bigint NOT NULL DEFAULT 0 CHECK (pod_version >= 0),
    -- Which Pod is which instance: the uid of the Pod at each index.
    slots text[] NOT NULL DEFAULT '{}'
        CHECK (coalesce(array_ndims(slots), 1) = 1 AND array_position(slots, NULL) IS NULL),
    -- The value of metadata_counter when the row was last written: readers fetch what is above the highest they know.
    stamp bigint NOT NULL DEFAULT 0 CHECK (stamp >= 0),
    -- Since when no Deployment runs the process, as far as was noticed (service.store.orphans).
    absent_since timestamptz,
    -- When everything in the row was set back to its default. The row itself goes when every replica has seen that.
    cleared_at timestamptz,
    PRIMARY KEY (namespace, app_guid, type)
);

CREATE INDEX process_metadata_stamp ON process_metadata (stamp, namespace, app_guid, type);

-- One row. Every write locks the rows it changes and then, last of all, increments this; the lock that it then has of this
-- row until it commits makes the order of stamps the order of commits, so that nobody who has seen stamp n can ever miss
-- one below it.
CREATE TABLE metadata_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value bigint NOT NULL CHECK (value BETWEEN 0 AND 4611686018427387904)
);

INSERT INTO metadata_counter (value) VALUES (0);
