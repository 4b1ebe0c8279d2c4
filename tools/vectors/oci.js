'use strict';
// Signatures of Oracle's SDK for requests of its object storage, under an RSA key that lives for this run only.
const { generateKeyPairSync } = require('crypto');
const common = require('oci-common');

const key_id = ['ocid1.tenancy.oc1..openevpvectors', 'ocid1.user.oc1..openevpvectors', '20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34'];
const host = 'objectstorage.eu-frankfurt-1.oraclecloud.com';
const pair = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' } });
const provider = new common.SimpleAuthenticationDetailsProvider(key_id[0], key_id[1], key_id[2], pair.privateKey, null, common.Region.EU_FRANKFURT_1);
const signer = new common.DefaultRequestSigner(provider);

const encoded = (name) => name.split('/').map((s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase())).join('/');
const object = (key) => '/n/ns/b/openevp-vectors/o/' + encoded(key);

const forms = [
  (key) => ({ method: 'GET', target: object(key) }),
  (key) => ({ method: 'PUT', target: object(key), unsignedBody: true }),
  (key, i) => ({ method: 'POST', target: '/n/ns/b/openevp-vectors/p', json: JSON.stringify({ name: 'evp-' + i, objectName: key, accessType: 'ObjectWrite' }) }),
  (key) => ({ method: 'DELETE', target: object(key) }),
  (key, i) => ({ method: 'POST', target: object(key).replace('/o/', '/u/') + '?uploadId=u%2F' + i, json: `{"partsToCommit":[{"partNum":1,"etag":${JSON.stringify(key)}}]}` }),
  (key) => ({ method: 'HEAD', target: object(key) }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    const input = { key, ...forms[i % forms.length](key, i) };
    const request = { method: input.method, uri: 'https://' + host + input.target, headers: new Headers(), body: input.json };
    await signer.signHttpRequest(request, !!input.unsignedBody);
    cases.push({ input, authorization: request.headers.get('authorization') });
  }
  return { file: { sdk: 'oci-common 2.142.1', values: { key_id: key_id.join('/'), host, public_key: pair.publicKey } }, cases };
};
