'use strict';
// How many uploads a second the vendors' own SDKs sign on one core. Prints {"s3": 1750, ...}. Usage: node speed.js [SECONDS]
const { generateKeyPairSync } = require('crypto');
const keys = require('./keys');

const object = '2026/11/22/camera-17/front-door-180713.626.jpg';
const spent = Number(process.argv[2] || 2) * 1000;

const signers = {
  s3() {
    const { S3Client, PutObjectCommand } = require('@aws-sdk/client-s3');
    const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
    const client = new S3Client({ region: 'eu-central-1', requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials: { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey } });
    return () => getSignedUrl(client, new PutObjectCommand({ Bucket: 'fleet', Key: object }), { expiresIn: 120 });
  },
  azure() {
    const { generateBlobSASQueryParameters, StorageSharedKeyCredential, BlobSASPermissions, SASProtocol } = require('@azure/storage-blob');
    const credential = new StorageSharedKeyCredential('benchaccount', Buffer.from(keys.secretKey).toString('base64'));
    return () => generateBlobSASQueryParameters({ containerName: 'fleet', blobName: object, permissions: BlobSASPermissions.parse('cw'),
      expiresOn: new Date(Date.now() + 120000), protocol: SASProtocol.Https }, credential).toString();
  },
  oss() {
    const OSS = require('ali-oss');
    const client = new OSS({ region: 'oss-eu-central-1', accessKeyId: keys.accessKey, accessKeySecret: keys.secretKey, bucket: 'fleet',
      authorizationV4: true, secure: true });
    return () => client.signatureUrlV4('PUT', 120, { headers: {}, queries: {} }, object);
  },
  gcs_rsa() {
    const { Storage } = require('@google-cloud/storage');
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
    const file = new Storage({ projectId: 'p', credentials: { client_email: 'bench@fake.iam.gserviceaccount.com',
      private_key: pair.privateKey } }).bucket('fleet').file(object);
    return () => file.getSignedUrl({ version: 'v4', action: 'write', expires: Date.now() + 120000 });
  },
};

(async () => {
  const out = {};
  for (const [name, make] of Object.entries(signers)) {
    const sign = make();
    for (let i = 0; i < 50; ++i) await sign();  // warm
    const start = Date.now();
    let count = 0;
    for (; Date.now() - start < spent; ++count) await sign();
    out[name] = Math.round(count * 1000 / (Date.now() - start));
  }
  console.log(JSON.stringify(out));
})().catch((e) => { console.error(e); process.exit(1); });
