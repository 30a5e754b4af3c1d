-- A device is a browser, or a command line that proves its user within each call. Those of
-- before are browsers. The same text is in the folder of the other database; change both.

-- `browser` or `command-line`.
ALTER TABLE devices ADD COLUMN kind TEXT NOT NULL DEFAULT 'browser';
-- What the machine of a command line calls itself; none if it did not say, and for browsers.
ALTER TABLE devices ADD COLUMN host TEXT;
