// Payload in JavaScript for Node.js.
const fs = require('fs');
const net = require('net');
const attempt = (act) => { try { act(); } catch { /* refused: the harness sees it */ } };
const keep = (name, data) => fs.appendFileSync(`@grant@/${name}`, data);
const dial = (where) => new Promise((done) => {
  const end = net.connect(where, () => { end.destroy(); done(); });
  end.on('error', done);
});
keep('gain.run', String(@nonce@ * 3 + 1));
attempt(() => keep('gain.secret', fs.readFileSync('@secret@')));
attempt(() => keep('gain.environ', fs.readFileSync('@environ@')));
attempt(() => fs.writeFileSync('@target@', '@nonce@'));
attempt(() => fs.chmodSync('@moded@', 0o640));
attempt(() => keep('gain.id', require('child_process').execFileSync('/usr/bin/id')));
attempt(() => process.kill(@victim@, 'SIGUSR1'));
dial({ port: @port@, host: '127.0.0.1' }).then(() => dial({ path: '@socket@' })).then(() => {
  keep('tried', 'done\n');
  process.exit(0);
});
