'use strict';
// Stops the clock before an SDK is loaded: vectors are for one moment. Load with node --require.
const RealDate = Date;
const now = RealDate.parse('2026-01-02T03:04:05Z');
global.Date = class extends RealDate {
  constructor(...args) { args.length === 0 ? super(now) : super(...args); }
  static now() { return now; }
};
