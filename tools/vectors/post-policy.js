'use strict';
// S3 upload forms of the AWS SDK.
const { S3Client } = require('@aws-sdk/client-s3');
const { createPresignedPost } = require('@aws-sdk/s3-presigned-post');
const keys = require('./keys');

const region = 'eu-central-1';
const forms = [
  (i) => ({}),
  (i) => ({ Conditions: [['content-length-range', 0, i]] }),
  (i) => ({ Fields: { 'Content-Type': keys.types[i % 3] } }),
  (i) => ({ token: keys.token, Fields: { 'x-amz-meta-fleet': 'n\u00f6rd "1"' } }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, Key] of names.entries()) {
    const { token, ...more } = forms[i % forms.length](i);
    const client = new S3Client({ region, credentials: { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey, sessionToken: token } });
    const input = { Key, Expires: 60 + i, ...more };
    const { url, fields } = await createPresignedPost(client, { Bucket: 'openevp-vectors', ...input });
    cases.push({ input, session_token: token, url, fields });
  }
  return { file: { sdk: '@aws-sdk/s3-presigned-post 3.1163.0', values: { bucket: 'openevp-vectors', region } }, cases };
};
