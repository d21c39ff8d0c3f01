-- The id of the data store, as its marker says it too: another folder, or none, is not taken for the one with the data.
CREATE TABLE data_store (
    place BIGINT PRIMARY KEY CHECK (place = 1),
    id    UUID NOT NULL
);
