#include "mqtt/codes.h"

#include <gtest/gtest.h>
#include <mosquitto.h>

#include <cerrno>

namespace evp::mqtt {
namespace {

TEST(codes, wrong_credentials_are_unauthenticated_in_both_versions_of_mqtt) {
  EXPECT_EQ(refused(4, false).code(), errc::unauthenticated);
  EXPECT_EQ(refused(5, false).code(), errc::unauthenticated);
  EXPECT_EQ(refused(0x86, true).code(), errc::unauthenticated);
  EXPECT_EQ(refused(0x87, true).code(), errc::unauthenticated);
}

TEST(codes, a_bad_client_id_and_a_busy_broker_are_told_apart) {
  EXPECT_EQ(refused(2, false).code(), errc::invalid_argument);
  EXPECT_EQ(refused(3, false).code(), errc::unavailable);
  EXPECT_EQ(refused(0x88, true).code(), errc::unavailable);
}

TEST(codes, a_denied_publish_is_no_temporary_error) {
  EXPECT_EQ(not_accepted(0x87).code(), errc::permission_denied);
  EXPECT_EQ(not_accepted(0x97).code(), errc::rate_limited);
}

TEST(codes, library_errors_name_their_cause) {
  EXPECT_NE(library_error(MOSQ_ERR_ERRNO, ECONNREFUSED, {}).message().find("Connection refused"), std::string::npos);
  EXPECT_EQ(library_error(MOSQ_ERR_TLS, 0, "certificate verify failed").code(), errc::unauthenticated);
  EXPECT_EQ(library_error(MOSQ_ERR_CONN_LOST, 0, {}).code(), errc::unavailable);
  EXPECT_EQ(library_error(MOSQ_ERR_PAYLOAD_SIZE, 0, {}).code(), errc::too_large);
}

}  // namespace
}  // namespace evp::mqtt
