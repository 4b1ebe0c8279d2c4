'use strict';
// Volcengine TOS.
const { TosClient } = require('@volcengine/tos-sdk');
const keys = require('./keys');

const bucket = 'openevp-vectors', region = 'cn-shanghai', endpoint = 'tos-cn-shanghai.volces.com';
const client = (stsToken) => new TosClient({ accessKeyId: keys.accessKey, accessKeySecret: keys.secretKey, stsToken, region, endpoint });
const plain = client(), temporary = client(keys.token);
const methods = { put: 'PUT', get: 'GET', part: 'PUT' };

function sign(input) {
  const query = input.partNumber ? { partNumber: String(input.partNumber), uploadId: input.uploadId } : undefined;
  return { input, url: (input.token ? temporary : plain).getPreSignedUrl({ method: methods[input.op], bucket, key: input.key, expires: input.expires, query }) };
}

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', token: keys.token }),
  (i) => ({ op: 'part', uploadId: 'AB+/=' + i, partNumber: 1 + i }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(sign({ op: 'put', key, expires: 120 }));
    cases.push(sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: '@volcengine/tos-sdk 2.9.1', values: { bucket, region: endpoint /* what its URLs name as the region */, endpoint: 'https://' + endpoint } }, cases };
};
