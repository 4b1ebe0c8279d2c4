// Another broker in mosquitto's place: aedes (MQTT 3.1.1, in one Node.js process) with what evp-backend needs of a broker.
//
// A trial and a model for others, not a product: docs/another-broker.md says what is needed, and what this lacks.
// Usage: node broker.js ADDRESS PORT PASSWORD-FILE
'use strict';
const {createHash, timingSafeEqual} = require('node:crypto');
const {readFileSync} = require('node:fs');
const {createServer} = require('node:net');
const {performance} = require('node:perf_hooks');
const Aedes = require('aedes');

const ME = 'v1/devices/me/';
const UPSTREAM = 'evp/devices/', DOWNSTREAM = 'evp/to/', PRESENCE = 'evp/presence/', UPLOADS = 'evp/uploads/';
const ID = /^([a-z0-9]+:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MESSAGE_MAX = 128 * 1024;
const NOWHERE = 'evp/nowhere';  // nobody may subscribe to it
const [address, port, passwordFile] = process.argv.slice(2);
if (!passwordFile) {
  console.error('Usage: node broker.mjs ADDRESS PORT PASSWORD-FILE');
  process.exit(2);
}
const sha256 = (text) => createHash('sha256').update(text ?? '').digest();
const equal = (a, b) => timingSafeEqual(sha256(a), sha256(b));
const backendPassword = readFileSync(passwordFile, 'utf8').trimEnd();

const devices = new Map();  // id -> {digest (hex or '-'), blocked, told}
const online = new Map();   // id -> its client
const backends = new Set(), observers = new Set();
let observerDigest = null, nextSession = BigInt(Date.now()) * 1000n, replacements = 0;

const broker = new Aedes({authenticate, authorizePublish, authorizeSubscribe, authorizeForward, queueLimit: 1000});

function refuse(code) {
  return Object.assign(new Error('refused'), {returnCode: code});
}

function authenticate(client, username, password, done) {
  const text = password?.toString();
  if (username === '$backend' && equal(text, backendPassword)) {
    client.evp = {role: 'backend', filters: new Set()};
  } else if (username === '$observer' && observerDigest && equal(sha256(text).toString('hex'), observerDigest)) {
    client.evp = {role: 'observer'};
  } else {
    const known = devices.get(username);
    const digest = sha256(text).toString('hex');
    if (!equal(digest, known?.digest ?? '-') || known.blocked) return done(refuse(5), false);
    client.evp = {role: 'device', device: username};
  }
  const holder = broker.clients[client.id]?.evp;
  if (client.evp.role === 'device' && client.id !== username &&
      (devices.has(client.id) || !client.clean || (holder && holder.device !== username)))
    return done(refuse(2), false);
  if (client.evp.role !== 'device') client.clean = true;
  done(null, true);
}

function tellBackends(topic, payload, qos) {
  const groups = new Map();
  for (const client of backends) {
    for (const filter of client.evp.filters) {
      const share = /^\$share\/([^/]+)\/(.*)$/.exec(filter);
      if (!matches(share ? share[2] : filter, topic)) continue;
      if (!share) send(client, topic, payload, qos);
      else groups.set(share[1], [...(groups.get(share[1]) ?? []), client]);
    }
  }
  for (const members of groups.values()) send(members[(turn = (turn + 1) % 1e6) % members.length], topic, payload, qos);
}
let turn = 0;

function matches(filter, topic) {
  const want = filter.split('/'), have = topic.split('/');
  for (let i = 0; i < want.length; ++i) {
    if (want[i] === '#') return true;
    if (i >= have.length || (want[i] !== '+' && want[i] !== have[i])) return false;
  }
  return want.length === have.length;
}

function send(client, topic, payload, qos) {
  client.publish({cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: false}, () => {});
}

broker.on('client', (client) => {  // it is admitted
  const {role, device} = client.evp;
  if (role === 'backend') backends.add(client);
  if (role === 'observer') observers.add(client);
  if (role !== 'device') return;
  const elder = online.get(device);
  client.evp.session = nextSession++;
  client.evp.began = performance.now();
  online.set(device, client);
  if (elder && elder !== client) elder.close();
  tellPresence(null, client);
});

broker.on('clientDisconnect', (client) => {
  const {role, device, session} = client.evp ?? {};
  backends.delete(client);
  observers.delete(client);
  if (role !== 'device' || online.get(device) !== client) return;
  online.delete(device);
  tellBackends(PRESENCE + device, `offline ${session}`, 1);
});

function tellPresence(to, {evp}) {
  const text = `online ${evp.session} ${Math.round(performance.now() - evp.began)}`;
  if (to) send(to, PRESENCE + evp.device, text, 1);
  else tellBackends(PRESENCE + evp.device, text, 1);
}

// What a client publishes is routed here, and not by aedes: it sees what goes nowhere.
function authorizePublish(client, packet, done) {
  const {topic, payload, qos} = packet;
  if (payload.length > MESSAGE_MAX) return done(new Error('too long'));  // ends the connection
  packet.retain = false;
  packet.topic = NOWHERE;
  if (client?.evp?.role === 'device' && online.get(client.evp.device) === client && !client.closed) {
    if (topic.startsWith(ME) && topic.length > ME.length)
      tellBackends(UPSTREAM + client.evp.device + '/' + topic.slice(ME.length), payload, Math.min(qos, 1));
  } else if (client?.evp?.role === 'backend') {
    const to = /^evp\/to\/([^/]+)\/(v1\/devices\/me\/.+)$/.exec(topic);
    if (topic === '$CONTROL/evp/v1') control(client, payload.toString());
    else if (to && online.has(to[1])) send(online.get(to[1]), to[2], payload, qos);
    else if (topic.startsWith(UPLOADS)) packet.topic = topic;  // aedes knows who observes
    else if (topic.startsWith('evp/backend/')) tellBackends(topic, payload, qos);
  }
  done(null);
}

function authorizeSubscribe(client, subscription, done) {
  const {role, filters} = client.evp, {topic} = subscription;
  const inner = topic.replace(/^\$share\/[^/]+\//, '');
  if (role === 'backend' && inner.startsWith('evp/')) {
    filters.add(topic);
    return done(null, {...subscription, topic: 'evp/held/' + topic.replaceAll(/[#+$]/g, '_')});
  }
  const allowed = (role === 'device' && topic.startsWith(ME) && topic.length > ME.length) ||
                  (role === 'observer' && topic.startsWith(UPLOADS));
  done(null, allowed ? subscription : null);
}

function authorizeForward(client, packet) {
  return client.evp?.role === 'observer' && !packet.topic.startsWith(UPLOADS) ? null : packet;
}

broker.on('unsubscribe', (topics, client) => {
  for (const topic of topics) client.evp?.filters?.delete(topic);
});

function end(device, session) {
  const client = online.get(device);
  if (client && (session === undefined || String(client.evp.session) === session)) client.close();
}

function control(client, text) {
  const [head, ...lines] = text.split('\n');
  const number = /^batch (\d+)$/.exec(head)?.[1];
  let problem = number && lines.pop() === '' ? '' : 'line 1: must be "batch <number>"';
  for (let i = 0; i < lines.length && !problem; ++i) {
    if (lines[i] === 'replace-end' && !client.evp.replacing) problem = 'replace-end without replace-begin';
    else if (!apply(client, lines[i])) problem = `line ${i + 2}: no such command`;
  }
  send(client, 'evp/control/ack', `${problem ? 0 : number} ${problem || 'ok'}`, 1);
}

function apply(client, line) {
  const [word, id, a, b, ...more] = line.split(' ');
  if (more.length > 0) return false;
  if (line === 'replace-begin') {
    client.evp.replacing = ++replacements;
  } else if (line === 'replace-end') {
    for (const [known, d] of devices) {
      if (d.told >= client.evp.replacing) continue;
      devices.delete(known);
      end(known);
    }
    delete client.evp.replacing;
    for (const each of online.values()) tellPresence(client, each);
  } else if (word === 'observer' && /^[0-9a-f]{64}$/.test(id) && a === undefined) {
    if (observerDigest !== id) for (const o of observers) o.close();
    observerDigest = id;
  } else if ((word === 'revoke' || word === 'restore') && /^[0-9a-f]{64}$/.test(id) && a === undefined) {
    // Nobody comes here with a certificate, so none of them admits anybody.
  } else if (!ID.test(id ?? '')) {
    return false;
  } else if (word === 'set' && /^(-|[0-9a-f]{64})$/.test(a) && (b === '-' || b === 'b')) {
    const old = devices.get(id);
    devices.set(id, {digest: a, blocked: b === 'b', told: replacements});
    if (b === 'b' || (old && old.digest !== a)) end(id);
    const squatter = old ? undefined : broker.clients[id];
    if (squatter && squatter.evp?.device !== id) squatter.close();
  } else if (word === 'remove' && a === undefined) {
    devices.delete(id);
    end(id);
  } else if (word === 'kick' && b === undefined && (a === undefined || /^\d+$/.test(a))) {
    end(id, a);
  } else {
    return false;
  }
  return true;
}

process.on('SIGHUP', () => {});  // mosquitto reads its configuration again; here there is none
const server = createServer({noDelay: true}, broker.handle);
server.listen({host: address, port: Number(port), backlog: 10_000}, () => console.error(`aedes listens on ${address} port ${server.address().port}, running`));
