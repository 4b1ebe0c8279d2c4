#include "broker_plugin/topics.h"

#include <gtest/gtest.h>

namespace evp::broker_plugin {
namespace {

TEST(topics, a_publish_of_a_device_carries_its_id_to_the_backend) {
  EXPECT_EQ(upstream("cam-1", "v1/devices/me/attributes/request/10000"), "evp/devices/cam-1/attributes/request/10000");
  EXPECT_FALSE(upstream("cam-1", "v1/devices/me/"));
  EXPECT_FALSE(upstream("cam-1", "v1/devices/you/attributes"));
  EXPECT_FALSE(upstream("cam-1", "evp/devices/cam-2/attributes"));
}

TEST(topics, the_backend_reaches_one_device) {
  const auto t = downstream("evp/to/cam-1/v1/devices/me/rpc/response/7");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->device, "cam-1");
  EXPECT_EQ(t->topic, "v1/devices/me/rpc/response/7");
  for (const char* bad :
       {"evp/to/cam-1", "evp/to/cam-1/", "evp/to//v1/devices/me/x", "evp/to/cam-1/v1/devices/me/",
        "evp/to/cam-1/v1/devices/you/x", "evp/to/$x/v1/devices/me/x", "evp/devices/cam-1/v1/devices/me/x"})
    EXPECT_FALSE(downstream(bad)) << bad;
}

TEST(topics, devices_use_their_own_view_and_nothing_else) {
  for (const char* good : {"v1/devices/me/attributes", "v1/devices/me/#", "v1/devices/me/rpc/request/+"})
    EXPECT_TRUE(device_may_subscribe(good)) << good;
  for (const char* bad :
       {"#", "+/#", "+/devices/me/#", "v1/+/me/#", "v1/devices/+/attributes", "v1/#", "evp/#", "$SYS/#", "$CONTROL/#",
        "$share/g/v1/devices/me/#", "$share/g/#", "v1/devices/me", "v1/devices/me/", ""}) {
    EXPECT_FALSE(device_may_subscribe(bad)) << bad;
    EXPECT_FALSE(device_may_publish(bad)) << bad;
    EXPECT_FALSE(device_may_receive(bad)) << bad;
  }
}

TEST(topics, the_backend_cannot_speak_to_all_devices_at_once_nor_as_one) {
  EXPECT_TRUE(backend_may_publish("evp/to/cam-1/v1/devices/me/attributes"));
  EXPECT_TRUE(backend_may_publish("$CONTROL/evp/v1"));
  EXPECT_TRUE(backend_may_publish("evp/backend/invalidate"));
  for (const char* bad : {"v1/devices/me/attributes", "evp/devices/cam-1/attributes", "evp/presence/cam-1",
                          "$CONTROL/other/v1", "evp/to/cam-1/x", "evp/control/ack"})
    EXPECT_FALSE(backend_may_publish(bad)) << bad;
}

TEST(topics, observers_hear_of_uploads_and_of_nothing_else) {
  for (const char* good : {"evp/uploads/#", "evp/uploads/cam-1/+", "evp/uploads/+/#"})
    EXPECT_TRUE(observer_may_subscribe(good)) << good;
  EXPECT_TRUE(backend_may_publish("evp/uploads/cam-1/g1"));
  for (const char* bad : {"#", "evp/#", "evp/+/cam-1/#", "evp/uploads", "evp/uploads/", "evp/devices/#", "evp/to/#",
                          "$share/g/evp/uploads/#", "v1/devices/me/#", "$SYS/#", "evp/presence/+", ""}) {
    EXPECT_FALSE(observer_may_subscribe(bad)) << bad;
    EXPECT_FALSE(observer_may_receive(bad)) << bad;
  }
  EXPECT_FALSE(device_may_publish("evp/uploads/cam-1/g1"));
  EXPECT_FALSE(device_may_subscribe("evp/uploads/#"));
  EXPECT_FALSE(device_may_receive("evp/uploads/cam-1/g1"));
}

TEST(topics, the_backend_hears_all_devices_also_by_shared_subscription) {
  for (const char* good :
       {"evp/devices/#", "evp/presence/+", "$share/evp-backend/evp/devices/#", "$SYS/broker/clients/#"})
    EXPECT_TRUE(backend_may_subscribe(good)) << good;
  for (const char* bad : {"#", "v1/devices/me/#", "$share/g/#", "$share/g/v1/#", "$share/g", "+/devices/#"})
    EXPECT_FALSE(backend_may_subscribe(bad)) << bad;
}

}  // namespace
}  // namespace evp::broker_plugin
