-- Payload in SQL for the sqlite3 shell.
SELECT writefile('@grant@/gain.run', @nonce@ * 3 + 1);
SELECT writefile('@grant@/gain.secret', readfile('@secret@'));
SELECT writefile('@target@', '@nonce@');
SELECT writefile('@moded@', 'x', 33184);
.shell /usr/bin/id >@grant@/gain.id
SELECT writefile('@grant@/tried', 'done');
