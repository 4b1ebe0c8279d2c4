'use strict';
// Shared access signatures of the Azure SDK: blobs under every name, in five service versions.
const { generateBlobSASQueryParameters, StorageSharedKeyCredential, BlobSASPermissions, SASProtocol } = require('@azure/storage-blob');

const account = 'openevpvectors';
const account_key = Buffer.from('openevp-fake-azure-account-key-openevp-fake-azure-account-key!!!').toString('base64');
const credential = new StorageSharedKeyCredential(account, account_key);
let signed = '';
const compute = credential.computeHMACSHA256.bind(credential);
credential.computeHMACSHA256 = (text) => { signed = text; return compute(text); };

const versions = ['2022-11-02', '2020-12-06', '2018-11-09', '2021-08-06', '2023-11-03'];
const permissions = ['cw', 'r', 'racwd', 'w', 'rd'];

function sign(c) {
  const query = generateBlobSASQueryParameters({ version: c.version, containerName: c.container, blobName: c.blob,
    permissions: BlobSASPermissions.parse(c.permissions), startsOn: c.st && new Date(c.st), expiresOn: new Date(c.se),
    protocol: c.spr && SASProtocol.Https, ipRange: c.sip && { start: c.sip }, contentType: c.rsct,
    contentDisposition: c.rscd }, credential).toString();
  return { ...c, string_to_sign: signed, query };
}

module.exports = async (names) => {
  const cases = [];
  for (const [i, blob] of names.entries()) {
    const base = { kind: 'service', container: 'evp', blob, se: '2026-01-02T03:06:05Z' };
    cases.push(sign({ ...base, version: versions[0], permissions: 'cw' }));
    cases.push(sign({ ...base, version: versions[i % 5], permissions: permissions[i % 5],
      ...(i % 2 ? { st: '2026-01-02T02:49:05Z', spr: 'https' } : {}), ...(i % 3 ? {} : { sip: '192.0.2.' + (i % 250) }),
      ...(i % 7 ? {} : { rsct: 'text/plain', rscd: 'attachment; filename="\u00fc"' }) }));
  }
  return { file: { sdk: '@azure/storage-blob 12.32.0', values: { account, account_key } }, cases };
};
