'use strict';
// Runs one vendor's script and prints its cases as JSON, one case a line. Usage: node --require ./clock.js write.js TYPE
const { names } = require('./names');
const keys = require('./keys');

process.on('unhandledRejection', (e) => { console.error(e); process.exit(1); });

(async () => {
  const type = process.argv[2];
  const log = console.log;
  console.log = console.info = () => {};  // some SDKs talk
  const { file, cases } = await require('./' + type)(names);
  const head = JSON.stringify({ made_with: file.sdk, sdk_frozen_clock_utc: keys.clock, access_key: keys.accessKey,
    secret_key: keys.secretKey, ...file.values }).slice(0, -1);
  log(head + ',"cases":[\n' + cases.map((c) => JSON.stringify(c)).join(',\n') + '\n]}');
  process.exit(0);
})();
