-- What came of the image of an instance that boots from a volume: the snapshots that were taken for it, as a JSON array,
-- or the reason of cinder-svc if it refused (beside `image_problem`, its words).
ALTER TABLE instance_history ADD COLUMN volume_snapshots TEXT;
ALTER TABLE instance_history ADD COLUMN refusal_cause TEXT;
