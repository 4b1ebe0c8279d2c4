'use strict';
// Qiniu Kodo: upload tokens and download URLs.
const qiniu = require('qiniu');
const keys = require('./keys');

const bucket = 'openevp-vectors', domain = 'https://files.example.com';
const mac = new qiniu.auth.digest.Mac(keys.accessKey, keys.secretKey);
const manager = new qiniu.rs.BucketManager(mac, new qiniu.conf.Config());

module.exports = async (names) => {
  const cases = [];
  for (const [i, key] of names.entries()) {
    const put = { op: 'put', key, expires: 60 + i, fsizeLimit: 1000 + i, insertOnly: i % 2 };
    cases.push({ input: put, url: new qiniu.rs.PutPolicy({ scope: `${bucket}:${key}`, expires: put.expires, fsizeLimit: put.fsizeLimit,
      ...(put.insertOnly ? { insertOnly: 1 } : {}) }).uploadToken(mac) });
    const get = { op: 'get', key, expires: 60 + i };
    const url = manager.privateDownloadUrl(domain, key, Math.floor(Date.now() / 1000) + get.expires);
    cases.push({ input: { ...get, plainUrl: url.slice(0, url.lastIndexOf(url.includes('?e=') ? '?e=' : '&e=')) }, url });
  }
  return { file: { sdk: 'qiniu 7.15.2', values: { bucket } }, cases };
};
