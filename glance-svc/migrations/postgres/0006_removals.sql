-- When data that could not be removed are tried again, and how often they were: others come first.
ALTER TABLE image_data ADD COLUMN next_time TIMESTAMPTZ NOT NULL DEFAULT '-infinity';
ALTER TABLE image_data ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX image_data_by_next_time ON image_data (next_time) WHERE state <> 'stored';
