// Preloaded into Node: its own `fetch` knows no proxy before 22.21 and 24.5. Nothing is loaded until it is called.
const [major, minor] = process.versions.node.split('.').map(Number);
const knows = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);
const own = globalThis.fetch;

// As `fetch` finds it (`undici`, "getGlobalDispatcher").
const DISPATCHER = Symbol.for('undici.globalDispatcher.1');

async function prepare() {
  const [http, net, tls] = await Promise.all(['http', 'net', 'tls'].map((name) => import(`node:${name}`)));
  const proxy = new URL(process.env.https_proxy);
  const connect = ({ hostname, port, protocol, servername }, done) => {
    const secure = protocol === 'https:';
    const name = hostname.replace(/^\[|\]$/g, '');
    const authority = `${name.includes(':') ? `[${name}]` : name}:${port || (secure ? 443 : 80)}`;
    const request = http.request({
      host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: authority, headers: { host: authority }, agent: false,
    });
    request.once('error', done);
    request.once('response', (answer) => {
      answer.destroy();
      done(new Error(`the proxy refused ${authority}: ${answer.statusCode}`));
    });
    request.once('connect', (answer, socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        done(new Error(`the proxy refused ${authority}: ${answer.statusCode}`));
      } else if (!secure) {
        done(null, socket);
      } else {
        const asked = servername || (net.isIP(name) ? undefined : name);
        const wrapped = tls.connect({ socket, host: name, servername: asked, ALPNProtocols: ['http/1.1'] });
        wrapped.once('error', done);
        wrapped.once('secureConnect', () => { wrapped.off('error', done); done(null, wrapped); });
      }
    });
    request.end();
  };
  await own('data:,');
  const Agent = globalThis[DISPATCHER].constructor;
  globalThis[DISPATCHER] = new Agent({ connect });
}

if (own && !knows && process.env.https_proxy) {
  let prepared;
  globalThis.fetch = async function fetch(...request) {
    await (prepared ??= prepare());
    return own(...request);
  };
}
