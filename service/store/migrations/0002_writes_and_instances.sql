-- What service.model.record describes: changes that wait for Kubernetes' half, the resourceVersions that writes have left,
-- and which Pod is which instance.
ALTER TABLE process_metadata
    ADD COLUMN pending jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(pending) = 'object'),
    ADD COLUMN deployment_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN pod_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN slots text[] NOT NULL DEFAULT '{}';

-- A row may be there for its instances alone: nobody has changed its metadata then.
ALTER TABLE process_metadata
    ALTER COLUMN updated_at SET DEFAULT 'epoch',
    ALTER COLUMN stamp SET DEFAULT 0;
