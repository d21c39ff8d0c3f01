-- Lists are read from indexes that hold what they select in the order of the page (docs/decisions/0003).

-- An image is registered once: a copy of its create_time needs no care.
ALTER TABLE image_properties ADD COLUMN image_create_time TEXT;
ALTER TABLE image_tags ADD COLUMN image_create_time TEXT;
ALTER TABLE image_members ADD COLUMN image_create_time TEXT;
UPDATE image_properties SET image_create_time = (SELECT create_time FROM images WHERE id = image_id);
UPDATE image_tags SET image_create_time = (SELECT create_time FROM images WHERE id = image_id);
UPDATE image_members SET image_create_time = (SELECT create_time FROM images WHERE id = image_id);

-- For programs older than this schema, which run while it is rolled out; newer ones give the time.
CREATE TRIGGER image_properties_create_time AFTER INSERT ON image_properties WHEN NEW.image_create_time IS NULL
BEGIN
    UPDATE image_properties SET image_create_time = (SELECT create_time FROM images WHERE id = NEW.image_id)
    WHERE image_id = NEW.image_id AND name = NEW.name;
END;
CREATE TRIGGER image_tags_create_time AFTER INSERT ON image_tags WHEN NEW.image_create_time IS NULL
BEGIN
    UPDATE image_tags SET image_create_time = (SELECT create_time FROM images WHERE id = NEW.image_id)
    WHERE image_id = NEW.image_id AND tag = NEW.tag;
END;
CREATE TRIGGER image_members_create_time AFTER INSERT ON image_members WHEN NEW.image_create_time IS NULL
BEGIN
    UPDATE image_members SET image_create_time = (SELECT create_time FROM images WHERE id = NEW.image_id)
    WHERE image_id = NEW.image_id AND member_id = NEW.member_id;
END;

DROP INDEX image_properties_by_value;
CREATE INDEX image_properties_by_value
    ON image_properties (name, substr(value, 1, 255), image_create_time, image_id);
DROP INDEX image_tags_by_tag;
CREATE INDEX image_tags_by_tag ON image_tags (tag, image_create_time, image_id);
DROP INDEX image_members_by_member;
CREATE INDEX image_members_by_member ON image_members (member_id, status, image_create_time, image_id);

DROP INDEX images_by_create_time;
DROP INDEX images_by_name;
DROP INDEX images_by_owner;
CREATE INDEX images_by_visibility ON images (os_hidden, visibility, create_time, id);
CREATE INDEX images_by_owner ON images (os_hidden, owner, visibility, create_time, id);
-- In the order of `sort=name:asc`, to which Glance adds the newest first.
CREATE INDEX images_by_visibility_and_name ON images (os_hidden, visibility, name, create_time DESC, id DESC);
CREATE INDEX images_by_owner_and_name ON images (os_hidden, owner, visibility, name, create_time DESC, id DESC);
