'use strict';
// Alibaba OSS: URLs signed with V4.
const OSS = require('ali-oss');
const keys = require('./keys');

const bucket = 'openevp-vectors';
const client = (stsToken) => new OSS({ region: 'oss-eu-central-1', accessKeyId: keys.accessKey, accessKeySecret: keys.secretKey, bucket,
  authorizationV4: true, secure: true, stsToken });
const plain = client(), temporary = client(keys.token);
const methods = { put: 'PUT', get: 'GET', head: 'HEAD', delete: 'DELETE', part: 'PUT' };

async function sign(input) {
  const headers = { ...(input.headers || {}), ...(input.contentType ? { 'Content-Type': input.contentType } : {}),
    ...(input.contentMD5 ? { 'Content-MD5': input.contentMD5 } : {}) };
  const queries = { ...(input.partNumber ? { partNumber: String(input.partNumber), uploadId: input.uploadId } : {}) };
  const url = await (input.token ? temporary : plain).signatureUrlV4(methods[input.op], input.expires, { headers, queries }, input.key, input.additional);
  return { input, url };
}

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', contentType: keys.types[i % 3] }),
  (i) => ({ op: 'put', headers: { 'content-length': String(i) }, additional: ['content-length'] }),
  (i) => ({ op: 'put', headers: { 'x-oss-forbid-overwrite': 'true', 'x-oss-meta-dev': 'd' + i }, contentMD5: keys.md5 }),
  (i) => ({ op: 'put', token: keys.token, contentType: keys.types[0] }),
  (i) => ({ op: 'part', uploadId: 'AB+/=' + i, partNumber: 1 + i }),
  (i) => ({ op: i % 2 ? 'head' : 'delete', token: keys.token }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(await sign({ op: 'put', key, expires: 120 }));
    cases.push(await sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: 'ali-oss 6.23.0', values: { bucket, region: 'eu-central-1', endpoint: 'https://oss-eu-central-1.aliyuncs.com' } }, cases };
};
