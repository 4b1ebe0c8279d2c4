// The certificate store keeps what its name promises.
#include "runtime/certificates.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "http/test_certificates.h"

namespace evp::runtime {
namespace {

class certificates_test : public testing::Test {
 protected:
  certificates_test() {
    std::string pattern = testing::TempDir() + "certificates-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~certificates_test() override { io::fs::remove_all(folder_); }
  io::fs::path folder_;
  const std::string pem_ = http::test_authority().pem();
  const std::string id_ = "sha256:" + to_hex(sha256(pem_));
};

TEST_F(certificates_test, a_bundle_survives_a_restart) {
  certificate_store first(folder_ / "certificates");
  ASSERT_TRUE(first.open());
  ASSERT_TRUE(first.put(id_, pem_));
  certificate_store second(folder_ / "certificates");
  ASSERT_TRUE(second.open());
  EXPECT_TRUE(second.ids().contains(id_));
  EXPECT_EQ(second.read(id_).value(), pem_);
}

TEST_F(certificates_test, bytes_that_do_not_hash_to_the_id_are_refused) {
  certificate_store store(folder_);
  ASSERT_TRUE(store.open());
  EXPECT_EQ(store.put(id_, pem_ + "\n").error().code(), errc::data_corrupt);
  EXPECT_TRUE(store.ids().empty());
}

TEST_F(certificates_test, what_is_no_certificate_is_refused_even_with_the_right_hash) {
  certificate_store store(folder_);
  ASSERT_TRUE(store.open());
  EXPECT_EQ(store.put("sha256:" + to_hex(sha256("text")), "text").error().code(), errc::invalid_argument);
}

TEST_F(certificates_test, an_id_that_could_be_a_path_is_refused) {
  certificate_store store(folder_);
  for (const char* id : {"sha256:../../etc/passwd", "", "md5:00", "sha256:"}) {
    EXPECT_EQ(store.put(id, pem_).error().code(), errc::invalid_argument) << id;
    EXPECT_EQ(store.read(id).error().code(), errc::invalid_argument) << id;
  }
}

TEST_F(certificates_test, a_file_that_changed_on_disk_is_dropped) {
  certificate_store store(folder_);
  ASSERT_TRUE(store.open());
  ASSERT_TRUE(store.put(id_, pem_));
  const auto file = folder_ / (id_.substr(7) + ".pem");
  ASSERT_TRUE(io::write_file_durably(file, pem_ + "#"));
  EXPECT_EQ(store.read(id_).error().code(), errc::data_corrupt);
  EXPECT_FALSE(store.ids().contains(id_));
  EXPECT_FALSE(io::fs::exists(file));
}

TEST_F(certificates_test, the_store_is_bounded) {
  certificate_store store(folder_);
  ASSERT_TRUE(store.open());
  for (int i = 0; i < 70; ++i) {
    const std::string pem = std::string(std::size_t(i), '\n') + pem_;
    ASSERT_TRUE(store.put("sha256:" + to_hex(sha256(pem)), pem));
  }
  EXPECT_LE(store.ids().size(), 64U);
}

}  // namespace
}  // namespace evp::runtime
