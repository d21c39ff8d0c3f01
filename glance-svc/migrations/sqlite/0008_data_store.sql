-- The id of the data store, as its marker says it too: another folder, or none, is not taken for the one with the data.
CREATE TABLE data_store (
    place INTEGER PRIMARY KEY NOT NULL CHECK (place = 1),
    id    TEXT NOT NULL
);
