-- What the image of a record itself asks for: root disk, GiB, and size of its data, bytes. image_min_disk of the system
-- metadata is the larger of that and the flavor's root disk. Not known of records of earlier releases.
ALTER TABLE records ADD COLUMN image_min_disk INTEGER;
ALTER TABLE records ADD COLUMN image_size INTEGER;
