'use strict';
// Object names that hurt: the one list that every vendor's vectors are made of. Deterministic: no clock, no real randomness.

const byHand = [
  'plain', 'a/b/c.txt', 'with space', ' leading', 'trailing ', 'two  spaces', 'plus+sign', 'a+b c%20d', '100%', '%', '%%', '%41',
  '%2F', 'a%2Fb', 'a%252Fb', '%zz', '%E3%81%82', 'q?m', 'a?b=c&d=e', '?', 'h#ash', '#', 'a&b=c;d:e@f', "quo'te", 'dq"x', '"', "'",
  '<tag>&amp;', 'st*ar', '*', 'par(en)', '[br]{ac}', 'ex!cl', 'do$llar,comma', 'til~de', '~', 'ca^ret`pipe|', '.hidden', 'a/.b', '..a',
  'a..b', '...', 'a/...', '-', '_', 'under_score-dash.dot', 'UPPER/lower', 'col:on', ':', '@', '=', '&', '+', '$', ';', ',', 'eq=',
  'trail/x', 'a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p', 'caf\u00e9 NFC', 'cafe\u0301 NFD', '\u00fcml\u00e4ut', 'u\u0308mla\u0308ut',
  '\u1e9b\u0323', '\u212b', '\u00c5', 'A\u030a', '\ufb01 ligature', '\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb', '\u5199\u771f1.jpg',
  '\ud55c\uae00', '\u0635\u0648\u0631\u0629/\u05ea', '\u0e20\u0e32\u0e1e', '\u0939\u093f\u0928\u094d\u0926\u0940', '\ud83d\udcf7.jpg',
  'emoji\ud83d\ude00', '\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67', '\ud83c\uddef\ud83c\uddf5', 'zero\u200bwidth', 'non\u00a0breaking',
  'soft\u00adhyphen', '\u202eright to left', '\ufeffbom', '\u3000wide', '\uffef', '\u{10ffff}', 'evp/evp', 'sig=abc&se=2020',
  'X-Amz-Signature=0', 'x-oss-signature=1&x', 'a?uploads', 'a?partNumber=1', '%3Fuploads', 'Signature', 'null', 'undefined', 'true',
  '0', '-1', '1e3', '__proto__', 'constructor', '${filename}x', '$key', '{{x}}', '%s%n', 'CON', 'nul.txt', 'C:x', 'a:b:c', 'http://x/y'.replace('//', '/'),
  'e\u0301'.repeat(100), '\u5199'.repeat(200), 'x'.repeat(255) + '/' + 'y'.repeat(255), 'x'.repeat(1000), '%'.repeat(300), '+'.repeat(200),
  ' '.repeat(50) + 'x', '~'.repeat(100), '\ud83d\ude00'.repeat(100), ('d/'.repeat(200) + 'x'),
];

/// A small generator of numbers (xorshift32): the same names on every machine.
function generator(seed) {
  let x = seed >>> 0;
  return (below) => {
    x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0;
    return x % below;
  };
}

const letters = [...'abcXYZ019 -_.~!*\'()+%&=?#;:@,$"<>[]{}^`|', '\u00e4', '\u00df', '\u20ac', '\u6f22', '\ud83d\ude00', 'e\u0301', '/'];

/// What the product accepts as an object's name: no empty, '.' or '..' segment, no control character, at most 1,024 bytes.
const isName = (name) => Buffer.byteLength(name) <= 1024 && !name.split('/').some((s) => s === '' || s === '.' || s === '..');

function names(count) {
  const all = new Set(byHand.filter(isName));
  const random = generator(20260102);
  while (all.size < count) {
    let name = '';
    for (let n = 1 + random(24); n > 0; --n) name += letters[random(letters.length)];
    if (isName(name)) all.add(name);
  }
  return [...all];
}

module.exports = { names: names(420) };
