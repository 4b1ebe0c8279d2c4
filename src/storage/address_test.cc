#include "storage/address.h"

#include <gtest/gtest.h>

namespace evp::storage {
namespace {

bool is_public(std::string_view text) { return !why_not_public(*ip_address::parse(text)); }

TEST(address_test, public_addresses_pass) {
  for (const auto* a : {"8.8.8.8", "52.239.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
                        "2600:1f18::1", "64:ff9b::808:808", "2002:808:808::1"})
    EXPECT_TRUE(is_public(a)) << a;
}

TEST(address_test, addresses_of_the_backends_own_surroundings_are_refused_in_every_form) {
  for (const auto* a : {"127.0.0.1",
                        "127.255.255.254",
                        "0.0.0.0",
                        "10.1.2.3",
                        "172.16.0.1",
                        "172.31.255.255",
                        "192.168.1.1",
                        "169.254.169.254",
                        "169.254.0.1",
                        "100.64.0.1",
                        "100.100.100.200",
                        "224.0.0.1",
                        "255.255.255.255",
                        "168.63.129.16",
                        "::",
                        "::1",
                        "::ffff:127.0.0.1",
                        "::ffff:10.0.0.1",
                        "::127.0.0.1",
                        "::808:808",
                        "fc00::1",
                        "fd00:ec2::254",
                        "fe80::1",
                        "fec0::1",
                        "ff02::1",
                        "64:ff9b::7f00:1",
                        "64:ff9b::a9fe:a9fe",
                        "64:ff9b:1::1",
                        "2002:7f00:1::",
                        "2002:a00:1::1",
                        "2001:0:1:2:3:4:80ff:fffe",
                        "2001:db8::1",
                        "100::1"})
    EXPECT_FALSE(is_public(a)) << a;
}

TEST(address_test, only_strict_spellings_are_addresses) {
  for (const auto* a : {"127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "1.2.3.4 ", " 1.2.3.4", "1.2.3", "1.2.3.4.5",
                        "", "::g", "fe80::1%eth0", "[::1]"})
    EXPECT_FALSE(ip_address::parse(a)) << a;
  EXPECT_EQ(ip_address::parse("::ffff:1.2.3.4"), ip_address::parse("1.2.3.4"));
  EXPECT_EQ(ip_address::parse("::ffff:1.2.3.4")->to_string(), "1.2.3.4");
}

TEST(address_test, a_network_holds_its_addresses_and_no_other) {
  const auto n = *ip_network::parse("10.32.0.0/11");
  EXPECT_TRUE(n.contains(*ip_address::parse("10.63.255.255")));
  EXPECT_FALSE(n.contains(*ip_address::parse("10.64.0.0")));
  EXPECT_FALSE(n.contains(*ip_address::parse("fd00::1")));
  EXPECT_TRUE(ip_network::parse("fd00::/8")->contains(*ip_address::parse("fdff::1")));
  EXPECT_TRUE(ip_network::parse("0.0.0.0/0")->contains(*ip_address::parse("127.0.0.1")));
  EXPECT_FALSE(ip_network::parse("0.0.0.0/0")->contains(*ip_address::parse("::1")));
}

TEST(address_test, what_is_no_network_is_refused) {
  for (const auto* n :
       {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.1/8", "localhost", "fd00::/129", "10.0.0.0/8x"})
    EXPECT_FALSE(ip_network::parse(n)) << n;
}

}  // namespace
}  // namespace evp::storage
