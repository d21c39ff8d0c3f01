-- When data that could not be removed are tried again, and how often they were: others come first. No time at all is
-- before every time.
ALTER TABLE image_data ADD COLUMN next_time TEXT NOT NULL DEFAULT '';
ALTER TABLE image_data ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX image_data_by_next_time ON image_data (next_time) WHERE state <> 'stored';
