'use strict';
// Signed URLs of Google's SDK, under an RSA key that lives for this run only.
const { generateKeyPairSync } = require('crypto');
const { Storage } = require('@google-cloud/storage');

const client_email = 'openevp-vectors@fake-project.iam.gserviceaccount.com';
const bucket = 'openevp-vectors';
const pair = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
const storage = new Storage({ projectId: 'fake-project', credentials: { client_email, private_key: pair.privateKey } });

const actions = { put: 'write', get: 'read', delete: 'delete' };
async function sign(input) {
  const [url] = await storage.bucket(bucket).file(input.key).getSignedUrl({ version: 'v4', action: actions[input.op],
    accessibleAt: new Date(), expires: Date.now() + input.expires * 1000, contentType: input.contentType,
    contentMd5: input.contentMD5, extensionHeaders: input.headers, queryParams: input.query, virtualHostedStyle: !!input.vhost });
  return { input, url };
}

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', contentType: 'image/jpeg' }),
  (i) => ({ op: 'put', headers: { 'x-goog-content-length-range': `0,${i}`, 'x-goog-if-generation-match': '0' } }),
  (i) => ({ op: 'put', contentMD5: '1B2M2Y8AsgTpgAmY7PhCfg==', headers: { 'x-goog-meta-dev': '  d1   x ' } }),
  (i) => ({ op: 'delete', vhost: true }),
  (i) => ({ op: 'put', vhost: true, query: { partNumber: String(i + 1), uploadId: 'AB+/=' } }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) cases.push(await sign({ key, expires: 60 + i, ...(i % 2 ? { op: 'put' } : forms[(i / 2) % forms.length](i)) }));
  return { file: { sdk: '@google-cloud/storage 7.22.0', values: { bucket, principal: client_email, public_key: pair.publicKey } }, cases };
};
