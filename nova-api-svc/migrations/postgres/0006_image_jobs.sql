-- Jobs that fail are tried again after longer and longer pauses, each by one replica at a time, and what came of
-- them stands with the change that needed them. next_try: microseconds since 1970, by the database's clock.
ALTER TABLE image_jobs ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE image_jobs ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE image_jobs ADD COLUMN next_try BIGINT NOT NULL DEFAULT 0;
CREATE INDEX image_jobs_by_next_try ON image_jobs (next_try);

ALTER TABLE instance_history ADD COLUMN image_problem TEXT COLLATE "C";
ALTER TABLE instance_history ADD COLUMN truncated_properties TEXT COLLATE "C";
