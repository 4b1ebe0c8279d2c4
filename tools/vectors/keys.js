'use strict';
// What all vendors' vectors share: keys that are plainly nobody's, and the values of headers that are signed.
module.exports = {
  clock: '2026-01-02T03:04:05Z',
  accessKey: 'OPENEVPFAKEACCESSKEY',
  secretKey: 'openevp/fake+secret=not/a+real/key=00000',
  token: 'openevp+fake/session=token==' + 'AbC+/='.repeat(20),
  md5: '1B2M2Y8AsgTpgAmY7PhCfg==',
  types: ['image/jpeg', 'text/plain; charset=utf-8', 'application/octet-stream'],
};
