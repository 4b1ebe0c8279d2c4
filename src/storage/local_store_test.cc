#include "storage/local_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::storage {
namespace {

using testing::HasSubstr;
using testing::Not;

struct local_store_test : testing::Test {
  io::fs::path root = io::fs::temp_directory_path() / ("evp-store-" + random_id(12));
  local_store store{root, "evp"};
  void SetUp() override { ASSERT_TRUE(store.prepare()); }
  void TearDown() override { io::fs::remove_all(root); }

  result<object_info> put(std::string_view object, std::string_view bytes, put_conditions c = {}) {
    TRY(auto upload, store.begin(object, std::move(c)));
    CHECK(upload.write(bytes));
    return upload.commit();
  }
  std::size_t files() const {
    std::size_t n = 0;
    for (const auto& e : io::fs::recursive_directory_iterator(root)) n += e.is_regular_file();
    return n;
  }
};

TEST_F(local_store_test, an_object_comes_back_as_it_went_in) {
  ASSERT_TRUE(put("cam-1/up/a.jpg", "hello"));
  EXPECT_EQ(*store.read("cam-1/up/a.jpg", 5), "hello");
  const auto info = *store.stat("cam-1/up/a.jpg");
  EXPECT_EQ(info.size, 5u);
  EXPECT_EQ(info.etag, put("other", "hello")->etag);
  EXPECT_NE(info.etag, put("other", "hallo")->etag);
  if (!info.sha256.empty()) { EXPECT_EQ(info.sha256, to_hex(sha256("hello"))); }
}

TEST_F(local_store_test, reading_is_bounded_and_a_missing_object_is_not_found) {
  ASSERT_TRUE(put("a", "hello"));
  EXPECT_EQ(store.read("a", 4).error().code(), errc::too_large);
  EXPECT_EQ(store.read("b", 4).error().code(), errc::not_found);
  EXPECT_EQ(store.stat("b").error().code(), errc::not_found);
}

TEST_F(local_store_test, removing_a_missing_object_succeeds) {
  ASSERT_TRUE(put("a", "x"));
  EXPECT_TRUE(store.remove("a"));
  EXPECT_TRUE(store.remove("a"));
  EXPECT_EQ(store.stat("a").error().code(), errc::not_found);
}

TEST_F(local_store_test, names_neither_meet_nor_leave_the_folder) {
  std::set<std::string> names{"a",
                              "a/b",
                              "a%2Fb",
                              "a/b/c",
                              "A",
                              "..a",
                              ".a",
                              "a..",
                              "a b",
                              "a+b",
                              "%25",
                              "%up",
                              "%up/x",
                              "\xC3\xBC",
                              "u\xCC\x88",
                              "../../etc/passwd",
                              "..",
                              ".",
                              std::string(1000, 'x'),
                              std::string(999, 'x') + "y",
                              std::string(300, '/'),
                              std::string(255, 'z'),
                              std::string(256, 'z')};
  for (const auto& n : names) ASSERT_TRUE(put(n, "I am " + n)) << n;
  EXPECT_EQ(files(), names.size());
  for (const auto& n : names) {
    EXPECT_EQ(*store.read(n, 2000), "I am " + n);
    EXPECT_EQ(store.file_of(n).parent_path(), root / "evp");
  }
}

TEST_F(local_store_test, a_dropped_upload_leaves_nothing_and_the_old_object_stands) {
  ASSERT_TRUE(put("a", "old"));
  {
    auto upload = store.begin("a");
    ASSERT_TRUE(upload->write("new"));
  }
  EXPECT_EQ(*store.read("a", 9), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(local_store_test, a_reader_keeps_its_version_while_the_object_is_replaced) {
  ASSERT_TRUE(put("a", "old"));
  const auto reader = *store.open("a");
  ASSERT_TRUE(put("a", "newer"));
  char bytes[3];
  ASSERT_EQ(::pread(reader.fd->get(), bytes, 3, 0), 3);
  EXPECT_EQ(std::string(bytes, 3), "old");
  EXPECT_EQ(*store.read("a", 9), "newer");
}

TEST_F(local_store_test, create_only_refuses_an_existing_object_also_when_it_appears_meanwhile) {
  auto upload = store.begin("a", {.create_only = true});
  ASSERT_TRUE(upload->write("late"));
  ASSERT_TRUE(put("a", "first", {.create_only = true}));
  EXPECT_EQ(upload->commit().error().code(), errc::already_exists);
  EXPECT_EQ(put("a", "again", {.create_only = true}).error().code(), errc::already_exists);
  EXPECT_EQ(*store.read("a", 9), "first");
}

TEST_F(local_store_test, a_wrong_content_md5_or_length_stores_nothing) {
  EXPECT_TRUE(put("good", "hello", {.content_md5 = to_base64(md5("hello")), .content_length = 5}));
  EXPECT_EQ(put("a", "hello", {.content_md5 = to_base64(md5("hallo"))}).error().code(), errc::data_corrupt);
  EXPECT_EQ(put("a", "hello", {.content_md5 = "xyz"}).error().code(), errc::invalid_argument);
  EXPECT_EQ(put("a", "hello", {.content_length = 6}).error().code(), errc::data_corrupt);
  EXPECT_EQ(put("a", "hello", {.content_length = 4}).error().code(), errc::too_large);
  EXPECT_EQ(put("a", "hello", {.max_bytes = 4}).error().code(), errc::too_large);
  EXPECT_EQ(files(), 1u);
}

TEST_F(local_store_test, only_uploads_abandoned_long_ago_are_tidied_away) {
  auto running = store.begin("a");
  const auto old = root / "evp" / "%up" / "old";
  std::ofstream(old) << "x";
  io::fs::last_write_time(old, io::fs::file_time_type::clock::now() - std::chrono::hours(25));
  ASSERT_TRUE(store.prepare());
  EXPECT_FALSE(io::fs::exists(old));
  ASSERT_TRUE(running->write("x"));
  EXPECT_TRUE(running->commit());
}

// ---- URLs ----

const secret key("0123456789abcdef0123456789abcdef");
const timestamp now = *parse_rfc3339("2026-01-02T03:04:05.678Z");
const local_access put_access{"evp", "cam 1/\xC3\xBC+%.jpg", operation::put, now + seconds(120)};

struct local_url_test : testing::Test {
  std::string path, query;
  void SetUp() override { take(sign_local_url(key, "http://127.0.0.1:8080", put_access)); }
  void take(const secret& url) {
    const auto& text = url.reveal();
    ASSERT_TRUE(text.starts_with("http://127.0.0.1:8080/objects/"));
    path = text.substr(21, text.find('?') - 21);
    query = text.substr(text.find('?') + 1);
  }
  errc code(std::string_view method, std::string_view p, std::string_view q, timestamp at = now,
            const secret& k = key) {
    const auto a = verify_local_url(k, method, p, q, at);
    return a ? errc::internal : a.error().code();
  }
};

TEST_F(local_url_test, a_signed_url_names_its_object_until_its_last_millisecond) {
  const auto a = verify_local_url(key, "PUT", path, query, put_access.expires_at - milliseconds(1));
  ASSERT_TRUE(a);
  EXPECT_EQ(a->container, "evp");
  EXPECT_EQ(a->object, put_access.object);
  EXPECT_EQ(a->op, operation::put);
  EXPECT_EQ(a->expires_at, put_access.expires_at);
  EXPECT_EQ(code("PUT", path, query, put_access.expires_at), errc::permission_denied);
}

TEST_F(local_url_test, a_put_url_permits_put_alone_and_a_get_url_get_and_head) {
  for (const auto* method : {"GET", "HEAD", "DELETE", "POST", "put"})
    EXPECT_EQ(code(method, path, query), errc::permission_denied) << method;
  auto access = put_access;
  access.op = operation::get;
  take(sign_local_url(key, "http://127.0.0.1:8080/", access));
  EXPECT_TRUE(verify_local_url(key, "GET", path, query, now));
  EXPECT_TRUE(verify_local_url(key, "HEAD", path, query, now));
  EXPECT_EQ(code("PUT", path, query), errc::permission_denied);
}

TEST_F(local_url_test, whatever_is_changed_the_url_is_refused) {
  EXPECT_EQ(code("PUT", path + "x", query), errc::permission_denied);
  EXPECT_EQ(code("PUT", "/objects/evq" + path.substr(12), query), errc::permission_denied);
  EXPECT_EQ(code("PUT", path, query, now, secret("another key")), errc::permission_denied);
  EXPECT_EQ(code("PUT", path, query + "&x=1"), errc::permission_denied);
  EXPECT_EQ(code("PUT", path, query + "&op=PUT"), errc::permission_denied);
  EXPECT_EQ(code("PUT", path, ""), errc::permission_denied);
  EXPECT_EQ(code("PUT", path, "exp=9999999999999&op=PUT&sig="), errc::permission_denied);
  for (std::size_t i = 0; i < query.size(); ++i) {
    auto changed = query;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_EQ(code("PUT", path, changed), errc::permission_denied) << i;
  }
}

TEST_F(local_url_test, paths_that_name_no_object_are_refused) {
  for (const auto* p :
       {"/objects/", "/objects/evp", "/objects/evp/", "/objects/evp/../x", "/objects/evp/%2e%2e/x",
        "/objects/evp/a%00b", "/objects/..%2f/x", "/other/evp/x", "/objects/evp/%zz", "/objects/evp/a//b"})
    EXPECT_EQ(code("PUT", p, query), errc::invalid_argument) << p;
}

TEST(byte_range_test, follows_rfc_9110) {
  const auto range = [](std::string_view field, std::uint64_t size) -> std::string {
    const auto r = parse_byte_range(field, size);
    if (!r) return "416";
    if (!*r) return "all";
    return std::to_string((*r)->offset) + "+" + std::to_string((*r)->length);
  };
  EXPECT_EQ(range("bytes=0-99", 1000), "0+100");
  EXPECT_EQ(range("bytes=900-", 1000), "900+100");
  EXPECT_EQ(range("bytes=900-5000", 1000), "900+100");
  EXPECT_EQ(range("bytes=-5", 1000), "995+5");
  EXPECT_EQ(range("bytes=-5000", 1000), "0+1000");
  for (const auto* f : {"bytes=1000-", "bytes=-0", "bytes=5000-6000"}) EXPECT_EQ(range(f, 1000), "416") << f;
  for (const auto* f : {"", "bytes=", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=--5",
                        "bytes=99999999999999999999-"})
    EXPECT_EQ(range(f, 1000), "all") << f;
  EXPECT_EQ(range("bytes=0-", 0), "416");
}

}  // namespace
}  // namespace evp::storage
