#include "storage/endpoint_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <map>

namespace evp::storage {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Runs a task to its end on an executor of its own.
template <class T>
T run(io::task<T> t) {
  io::asio::io_context ctx;
  std::optional<T> out;
  io::asio::co_spawn(ctx, std::move(t), [&](std::exception_ptr e, T v) {
    if (e) std::rethrow_exception(e);
    out.emplace(std::move(v));
  });
  ctx.run();
  return std::move(*out);
}

struct fake_resolver final : resolver {
  std::map<std::string, std::vector<std::string>> names;
  int asked = 0;
  io::task<result<std::vector<ip_address>>> resolve(std::string host) override {
    ++asked;
    std::vector<ip_address> found;
    for (const auto& a : names[host]) found.push_back(*ip_address::parse(a));
    if (found.empty()) co_return fail(errc::not_found, "no such host");
    co_return found;
  }
};

struct recording_transport final : http::transport {
  std::vector<std::string> pinned;
  io::task<result<http::response>> send(http::request r) override {
    pinned.push_back(r.pinned_address);
    http::response answer;
    answer.status = 200;
    co_return answer;
  }
};

struct endpoint_guard_test : testing::Test {
  fake_resolver names;
  endpoint_guard guard{names, {}};
  errc code(std::string url) {
    auto a = run(guard.address_for(std::move(url)));
    return a ? errc::internal : a.error().code();
  }
};

TEST_F(endpoint_guard_test, a_public_host_passes_and_its_address_is_pinned) {
  names.names["s3.example.com"] = {"52.1.2.3", "52.1.2.4"};
  recording_transport inner;
  guarded_transport guarded(inner, guard);
  http::request r;
  r.url = secret("https://s3.example.com/b/o?sig=x");
  EXPECT_EQ(run(guarded.send(r))->status, 200);
  EXPECT_EQ(inner.pinned, std::vector<std::string>{"52.1.2.3"});
}

TEST_F(endpoint_guard_test, one_private_address_among_public_ones_is_enough_to_refuse) {
  names.names["mixed.example.com"] = {"52.1.2.3", "10.0.0.1"};
  EXPECT_EQ(code("https://mixed.example.com/"), errc::permission_denied);
}

TEST_F(endpoint_guard_test, a_name_that_turns_private_after_the_check_is_refused_when_it_is_used) {
  names.names["rebind.example.com"] = {"52.1.2.3"};
  EXPECT_EQ(run(guard.check_endpoint("https://rebind.example.com")).value(), "");
  names.names["rebind.example.com"] = {"169.254.169.254"};
  recording_transport inner;
  guarded_transport guarded(inner, guard);
  http::request r;
  r.url = secret("https://rebind.example.com/b/o");
  EXPECT_EQ(run(guarded.send(r)).error().code(), errc::permission_denied);
  EXPECT_TRUE(inner.pinned.empty());
}

TEST_F(endpoint_guard_test, literal_addresses_are_judged_without_asking_the_resolver) {
  for (const auto* url :
       {"http://127.0.0.1:10000", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest",
        "http://10.0.0.1", "http://100.64.1.1", "http://0.0.0.0", "http://[fd00:ec2::254]/"})
    EXPECT_EQ(code(url), errc::permission_denied) << url;
  EXPECT_EQ(names.asked, 0);
}

TEST_F(endpoint_guard_test, disguised_and_broken_urls_are_refused) {
  for (const auto* url : {"http://2130706433/",
                          "http://0x7f000001/",
                          "http://0x7f.1/",
                          "http://127.1/",
                          "http://0177.0.0.1/",
                          "http://127.0.0.1./",
                          "http://a@127.0.0.1/",
                          "http://example.com#@127.0.0.1/",
                          "http://127.0.0.1\\@example.com/",
                          "ftp://example.com/",
                          "file:///etc/passwd",
                          "http://",
                          "http:///x",
                          "http://exa mple.com/",
                          "http://a..b/",
                          "http://example.com:0/",
                          "http://example.com:65536/",
                          "http://example.com:/",
                          "http://[::1/",
                          "http://ex%41mple.com/"})
    EXPECT_EQ(code(url), errc::invalid_argument) << url;
  EXPECT_EQ(names.asked, 0);
}

TEST_F(endpoint_guard_test, listed_networks_are_allowed_and_nothing_beside_them) {
  endpoint_guard lenient(names, *endpoint_guard::parse_networks({"127.0.0.0/8", "fd12::/16"}));
  names.names["localhost"] = {"127.0.0.1"};
  names.names["dual"] = {"127.0.0.1", "::1"};
  EXPECT_EQ(run(lenient.address_for("http://localhost:10000/"))->to_string(), "127.0.0.1");
  EXPECT_TRUE(run(lenient.address_for("http://[::ffff:127.0.0.1]/")));
  EXPECT_TRUE(run(lenient.address_for("http://[fd12::1]/")));
  EXPECT_EQ(run(lenient.address_for("http://dual/")).error().code(), errc::permission_denied);
  EXPECT_EQ(run(lenient.address_for("http://10.0.0.1/")).error().code(), errc::permission_denied);
}

TEST_F(endpoint_guard_test, a_new_service_is_told_which_field_and_which_setting) {
  const auto refused = run(guard.check_endpoint("http://127.0.0.1:10000/?sig=verysecret"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::invalid_argument);
  EXPECT_EQ(refused.error().field(), "endpoint");
  EXPECT_THAT(refused.error().message(), HasSubstr("allowedEndpointNetworks"));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("verysecret")));
}

TEST_F(endpoint_guard_test, a_host_that_does_not_resolve_now_is_a_warning_at_first_and_an_error_when_used) {
  EXPECT_THAT(*run(guard.check_endpoint("https://later.example.com")),
              HasSubstr("later.example.com cannot be resolved"));
  EXPECT_EQ(code("https://later.example.com"), errc::unavailable);
}

TEST_F(endpoint_guard_test, a_wrong_entry_of_the_operators_list_is_named) {
  const auto bad = endpoint_guard::parse_networks({"127.0.0.0/8", "10.0.0.1/8"});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().field(), "allowedEndpointNetworks");
  EXPECT_THAT(bad.error().message(), HasSubstr("10.0.0.1/8"));
}

TEST(system_resolver_test, localhost_leads_to_loopback) {
  const auto names = make_system_resolver();
  const auto found = run(names->resolve("localhost"));
  ASSERT_TRUE(found);
  for (const auto& a : *found) EXPECT_EQ(why_not_public(a), "a loopback address");
}

}  // namespace
}  // namespace evp::storage
