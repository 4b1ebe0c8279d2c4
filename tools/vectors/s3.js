'use strict';
// Presigned S3 URLs of the AWS SDK: every name as PUT and once more in one of ten forms.
const s3 = require('@aws-sdk/client-s3');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
const keys = require('./keys');

const Bucket = 'openevp-vectors';
const region = 'eu-central-1';
const clients = new Map();

function client(input) {
  const id = JSON.stringify([input.token, input.endpoint, input.pathStyle]);
  if (!clients.has(id))
    clients.set(id, new s3.S3Client({ region, endpoint: input.endpoint, forcePathStyle: !!input.pathStyle,
      requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED',
      credentials: { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey, sessionToken: input.token } }));
  return clients.get(id);
}

function command(i) {
  const base = { Bucket, Key: i.key };
  switch (i.op) {
    case 'get': return new s3.GetObjectCommand(base);
    case 'head': return new s3.HeadObjectCommand(base);
    case 'delete': return new s3.DeleteObjectCommand(base);
    case 'create': return new s3.CreateMultipartUploadCommand(base);
    case 'part': return new s3.UploadPartCommand({ ...base, UploadId: i.uploadId, PartNumber: i.partNumber });
    case 'complete': return new s3.CompleteMultipartUploadCommand({ ...base, UploadId: i.uploadId });
    default: return new s3.PutObjectCommand({ ...base, ContentType: i.contentType, ContentMD5: i.contentMD5,
      ContentLength: i.contentLength, Metadata: i.meta });
  }
}

async function sign(input) {
  // Told so, the SDK signs these as headers; left alone it signs host only, and moves x-amz-* into the query.
  const own = [['contentType', 'content-type'], ['contentMD5', 'content-md5'], ['contentLength', 'content-length']]
    .filter(([name]) => input[name] !== undefined).map(([, header]) => header);
  const kept = [...own, ...Object.keys(input.meta || {}).map((m) => 'x-amz-meta-' + m)];
  const url = await getSignedUrl(client(input), command(input), { expiresIn: input.expires, signingDate: new Date(),
    ...(own.length ? { signableHeaders: new Set(['host', ...own, ...kept]) } : {}), unhoistableHeaders: new Set(kept) });
  return { input, url };
}

const forms = [
  (i) => ({ op: 'get' }),
  (i) => ({ op: 'put', contentType: keys.types[i % 3] }),
  (i) => ({ op: 'put', contentMD5: keys.md5, contentLength: i }),
  (i) => ({ op: 'put', meta: { fleet: 'north', n: String(i) }, contentType: keys.types[0] }),
  (i) => ({ op: 'put', token: keys.token }),
  (i) => ({ op: 'part', uploadId: '2~x+/=' + i, partNumber: 1 + i }),
  (i) => ({ op: i % 2 ? 'create' : 'complete', ...(i % 2 ? {} : { uploadId: 'up+/load' }) }),
  (i) => ({ op: 'get', token: keys.token, expires: 604800 }),
  (i) => ({ op: 'put', pathStyle: true, endpoint: 'http://127.0.0.1:7480', contentType: keys.types[2] }),
  (i) => ({ op: i % 2 ? 'head' : 'delete', pathStyle: true, endpoint: 'https://storage.example.com:8443' }),
];

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    cases.push(await sign({ op: 'put', key, expires: 120 }));
    cases.push(await sign({ key, expires: 1 + i, ...forms[i % forms.length](i) }));
  }
  return { file: { sdk: '@aws-sdk/client-s3 3.1169.0', values: { bucket: Bucket, region, endpoint: `https://s3.${region}.amazonaws.com` } }, cases };
};
