'use strict';
// Tencent COS.
const COS = require('cos-nodejs-sdk-v5');
const keys = require('./keys');

const Bucket = 'openevp-vectors-1250000000', Region = 'eu-frankfurt';
const client = (token) => new COS({ SecretId: keys.accessKey, SecretKey: keys.secretKey, SecurityToken: token });
const plain = client();
const methods = { put: 'PUT', get: 'GET', head: 'HEAD', delete: 'DELETE', part: 'PUT' };

function sign(input) {
  const Headers = { ...(input.headers || {}), ...(input.contentType ? { 'Content-Type': input.contentType } : {}) };
  const Query = input.partNumber ? { partNumber: String(input.partNumber), uploadId: input.uploadId } : {};
  const url = (input.token ? client(input.token) : plain).getObjectUrl({ Bucket, Region, Key: input.key, Method: methods[input.op], Sign: true,
    Expires: input.expires, Headers, Query }, () => {});
  return { input, url };
}

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', contentType: keys.types[i % 3] }),
  (i) => ({ op: 'put', headers: { 'content-length': String(i), 'x-cos-forbid-overwrite': 'true' } }),
  (i) => ({ op: 'put', token: 'fakeToken-without_reserved.characters' }),
  (i) => ({ op: 'part', uploadId: 'AB+/=' + i, partNumber: 1 + i }),
  (i) => ({ op: i % 2 ? 'head' : 'delete' }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(sign({ op: 'put', key, expires: 120 }));
    cases.push(sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: 'cos-nodejs-sdk-v5 3.0.0', values: { bucket: Bucket, endpoint: 'https://cos.eu-frankfurt.myqcloud.com' } }, cases };
};
