#include "names.h"

const std::vector<std::string>& nasty_names() {
  static const std::vector<std::string> names = {
      "plain",
      "a/b/c.txt",
      "with space",
      " leading space",
      "trailing space ",
      "two  spaces",
      "plus+sign",
      "a+b c%20d",
      "100%",
      "%",
      "%41",
      "%2F",
      "a%2Fb",
      "a%252Fb",
      "%zz",
      "question?mark",
      "a?b=c&d=e",
      "hash#mark",
      "a&b=c;d:e@f",
      "quote'double\"",
      "<tag>&amp;",
      "star*",
      "(paren)[bracket]{brace}",
      "bang!dollar$comma,",
      "tilde~",
      "caret^`pipe|",
      ".hidden",
      "a/.b",
      "..a",
      "a..b",
      "...",
      "dash-under_score",
      "UPPER/lower",
      "colon:in:name",
      "\xC3\xBC"
      "ml\xC3\xA4ut",            // precomposed (NFC)
      "u\xCC\x88mla\xCC\x88ut",  // decomposed (NFD): another name
      "\xE5\x86\x99\xE7\x9C\x9F"
      "1.jpg",                                      // Japanese
      "\xF0\x9F\x93\xB7.jpg",                       // beyond the basic plane
      "\xD8\xB5\xD9\x88\xD8\xB1\xD8\xA9/\xD7\xAA",  // right to left
      "zero\xE2\x80\x8Bwidth",
      "non\xC2\xA0"
      "breaking",
      "evp/evp",
      "sig=abc&se=2020",
      "X-Amz-Signature=0",
      std::string(255, 's') + "/" + std::string(255, 't'),
      std::string(1000, 'x'),
      [] {
        std::string s;
        for (int i = 0; i < 200; ++i) s += "\xE5\x86\x99";
        return s;
      }(),  // 1,800 bytes when encoded
      [] {
        std::string s = "d";
        for (int i = 0; i < 99; ++i) s += "/d";
        return s;
      }(),
  };
  return names;
}
