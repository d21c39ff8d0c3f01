-- Who could see what of an image in the past.

-- The revision that an image had when it was shared with a member, who sees none before that.
ALTER TABLE image_members ADD COLUMN image_revision BIGINT;
UPDATE image_members SET image_revision = COALESCE(
    (SELECT MAX(r.revision) FROM image_revisions r
     WHERE r.image_id = image_members.image_id AND r.create_time <= image_members.create_time),
    (SELECT revision FROM images WHERE id = image_members.image_id));

-- For programs older than this schema, which run while it is rolled out; newer ones give the revision.
CREATE FUNCTION copy_image_revision() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    SELECT revision INTO NEW.image_revision FROM images WHERE id = NEW.image_id;
    RETURN NEW;
END $$;
CREATE TRIGGER image_members_revision BEFORE INSERT ON image_members
    FOR EACH ROW WHEN (NEW.image_revision IS NULL) EXECUTE FUNCTION copy_image_revision();

-- Who owned an image, each from that of its revisions on; none before the first. It outlives the image, as its history
-- does, from which it is made: whichever program writes that.
CREATE TABLE image_owners (
    image_id UUID NOT NULL,
    revision BIGINT NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (image_id, revision)
);
CREATE FUNCTION note_image_owner() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO image_owners (image_id, revision, owner)
    SELECT NEW.image_id, NEW.revision, COALESCE(change ->> 'new', '')
    FROM jsonb_array_elements(NEW.changes) AS change WHERE change ->> 'attribute' = 'owner';
    RETURN NULL;
END $$;
-- First, so that no revision is written between this and the next statement.
CREATE TRIGGER image_revisions_owner AFTER INSERT ON image_revisions
    FOR EACH ROW WHEN (NEW.changes @> '[{"attribute": "owner"}]') EXECUTE FUNCTION note_image_owner();
INSERT INTO image_owners (image_id, revision, owner)
SELECT image_id, revision, COALESCE(change ->> 'new', '')
FROM image_revisions, jsonb_array_elements(changes) AS change WHERE change ->> 'attribute' = 'owner';

-- History, with who owned the image after each revision, and before it.
CREATE VIEW image_history AS
SELECT r.*,
       COALESCE((SELECT o.owner FROM image_owners o WHERE o.image_id = r.image_id AND o.revision <= r.revision
                 ORDER BY o.revision DESC LIMIT 1), '') AS owner,
       COALESCE((SELECT o.owner FROM image_owners o WHERE o.image_id = r.image_id AND o.revision < r.revision
                 ORDER BY o.revision DESC LIMIT 1), '') AS owner_before
FROM image_revisions r;
