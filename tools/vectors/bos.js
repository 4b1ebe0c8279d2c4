'use strict';
// Baidu BOS: URLs of the SDK for GET, and of its signer for the methods that its URL function has no word for.
const { BosClient, Auth } = require('@baiducloud/sdk');
const keys = require('./keys');

const bucket = 'openevp-vectors', endpoint = 'https://fra.bcebos.com';
const now = () => Math.floor(Date.now() / 1000);
const client = (sessionToken) => new BosClient({ endpoint, sessionToken, credentials: { ak: keys.accessKey, sk: keys.secretKey } });
const plain = client(), temporary = client(keys.token);

function sign(input) {
  if (input.op === 'get')
    return { input, method: 'GET', url: (input.token ? temporary : plain).generatePresignedUrl(bucket, input.key, now(), input.expires) };
  const host = bucket + '.' + endpoint.slice(8);
  const resource = '/v1/' + Auth.prototype.normalize(input.key, false);
  const params = { ...(input.token ? { 'x-bce-security-token': input.token } : {}),
    ...(input.partNumber ? { partNumber: String(input.partNumber), uploadId: input.uploadId } : {}) };
  const headers = { Host: host, ...(input.contentType ? { 'Content-Type': input.contentType } : {}), ...(input.headers || {}) };
  const method = input.op === 'delete' ? 'DELETE' : 'PUT';
  params.authorization = new Auth(keys.accessKey, keys.secretKey).generateAuthorization(method, resource, params, headers, now(), input.expires);
  return { input, method, url: `https://${host}${resource}?${new URLSearchParams(params).toString().replace(/\+/g, '%20')}` };
}

const forms = [
  (i) => ({ op: 'put', contentType: keys.types[i % 3] }),
  (i) => ({ op: 'put', headers: { 'x-bce-meta-dev': 'd' + i, 'content-length': String(1 + i) } }),
  (i) => ({ op: 'put', token: keys.token }),
  (i) => ({ op: 'part', uploadId: 'AB+/=' + i, partNumber: 1 + i }),
  (i) => ({ op: 'delete' }),
  (i) => ({ op: 'get', token: keys.token }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(sign({ op: i % 2 ? 'put' : 'get', key, expires: 120 }));
    cases.push(sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: '@baiducloud/sdk 1.0.7', values: { bucket, endpoint } }, cases };
};
