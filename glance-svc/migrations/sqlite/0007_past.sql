-- Who could see what of an image in the past.

-- The revision that an image had when it was shared with a member, who sees none before that.
ALTER TABLE image_members ADD COLUMN image_revision INTEGER;
UPDATE image_members SET image_revision = COALESCE(
    (SELECT MAX(r.revision) FROM image_revisions r
     WHERE r.image_id = image_members.image_id AND r.create_time <= image_members.create_time),
    (SELECT revision FROM images WHERE id = image_members.image_id));

-- For programs older than this schema, which run while it is rolled out; newer ones give the revision.
CREATE TRIGGER image_members_revision AFTER INSERT ON image_members WHEN NEW.image_revision IS NULL
BEGIN
    UPDATE image_members SET image_revision = (SELECT revision FROM images WHERE id = NEW.image_id)
    WHERE image_id = NEW.image_id AND member_id = NEW.member_id;
END;

-- Who owned an image, each from that of its revisions on; none before the first. It outlives the image, as its history
-- does, from which it is made: whichever program writes that.
CREATE TABLE image_owners (
    image_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    owner    TEXT NOT NULL,
    PRIMARY KEY (image_id, revision)
) WITHOUT ROWID;
CREATE TRIGGER image_revisions_owner AFTER INSERT ON image_revisions WHEN instr(NEW.changes, '"owner"') > 0
BEGIN
    INSERT INTO image_owners (image_id, revision, owner)
    SELECT NEW.image_id, NEW.revision, COALESCE(value ->> 'new', '')
    FROM json_each(NEW.changes) WHERE value ->> 'attribute' = 'owner';
END;
INSERT INTO image_owners (image_id, revision, owner)
SELECT image_id, revision, COALESCE(value ->> 'new', '')
FROM image_revisions, json_each(changes) WHERE value ->> 'attribute' = 'owner';

-- History, with who owned the image after each revision, and before it.
CREATE VIEW image_history AS
SELECT r.*,
       COALESCE((SELECT o.owner FROM image_owners o WHERE o.image_id = r.image_id AND o.revision <= r.revision
                 ORDER BY o.revision DESC LIMIT 1), '') AS owner,
       COALESCE((SELECT o.owner FROM image_owners o WHERE o.image_id = r.image_id AND o.revision < r.revision
                 ORDER BY o.revision DESC LIMIT 1), '') AS owner_before
FROM image_revisions r;
