'use strict';
// Huawei OBS.
const ObsClient = require('esdk-obs-nodejs');
const keys = require('./keys');

const Bucket = 'openevp-vectors', host = 'obs.eu-west-101.myhuaweicloud.eu';
const client = (token) => new ObsClient({ access_key_id: keys.accessKey, secret_access_key: keys.secretKey, server: 'https://' + host,
  security_token: token, signature: 'obs' });
const methods = { put: 'PUT', get: 'GET', head: 'HEAD', delete: 'DELETE', part: 'PUT' };

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', contentType: keys.types[i % 3] }),
  (i) => ({ op: 'put', headers: { 'x-obs-meta-dev': 'd' + i }, contentMD5: keys.md5 }),
  (i) => ({ op: 'put', token: keys.token }),
  (i) => ({ op: 'part', uploadId: 'AB+/=' + i, partNumber: 1 + i }),
  (i) => ({ op: i % 2 ? 'head' : 'delete', token: keys.token }),
];

module.exports = async (names) => {
  const plain = client(), temporary = client(keys.token);
  await new Promise((resolve) => setTimeout(resolve, 50));  // it initialises itself a moment later
  const sign = (input) => {
    const Headers = { ...(input.headers || {}), ...(input.contentType ? { 'Content-Type': input.contentType } : {}),
      ...(input.contentMD5 ? { 'Content-MD5': input.contentMD5 } : {}) };
    const QueryParams = input.partNumber ? { partNumber: String(input.partNumber), uploadId: input.uploadId } : {};
    const made = (input.token ? temporary : plain).createSignedUrlSync({ Method: methods[input.op], Bucket, Key: input.key, Expires: input.expires, Headers, QueryParams });
    return { input, url: made.SignedUrl };
  };
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(sign({ op: 'put', key, expires: 120 }));
    cases.push(sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: 'esdk-obs-nodejs 3.26.8', values: { bucket: Bucket, endpoint: `https://${host}:443` } }, cases };
};
