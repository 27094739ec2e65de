-- Which of our migrations this database has had: a row for each. The table comes before any other,
-- so that tables without a version are ours to complete when there is an archstone_schema.
CREATE TABLE IF NOT EXISTS archstone_schema (
    version INTEGER NOT NULL PRIMARY KEY
);
