-- Requests by their age: what is known of them is forgotten after a while.
CREATE INDEX create_requests_by_create_time ON create_requests (create_time);
