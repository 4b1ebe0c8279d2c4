// The lever of AZURE, against a container that keeps its access list as Azure does.
#include <gmock/gmock.h>

#include <pugixml.hpp>

#include "auth/credentials/test_transport.h"
#include "base/encoding.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using auth::answered;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view nothing = "<?xml version=\"1.0\" encoding=\"utf-8\"?><SignedIdentifiers/>";

struct azure_policies_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string access_list{nothing};
  bool is_public = false;
  int written = 0, refuse = 0;
  auth::test_transport net{[this](const http::request& r) { return answer(r); }};

  http::response answer(const http::request& r) {
    if (r.url.reveal().find("comp=acl") == std::string::npos) return answered(201);  // the container
    if (refuse) return answered(refuse, "", {{"x-ms-error-code", "AuthenticationFailed"}});
    EXPECT_THAT(http::find(r.fields, "Authorization"), testing::StartsWith("SharedKey acct:"));
    if (r.method == "PUT") {
      access_list = auth::body_of(r);
      is_public = http::find(r.fields, "x-ms-blob-public-access") == "blob";
      ++written;
      return answered(ids().size() <= 5 ? 200 : 400);
    }
    http::headers fields;
    if (is_public) fields.push_back({"x-ms-blob-public-access", "blob"});
    return answered(200, access_list, fields);
  }
  /// "id=permissions" of each policy.
  std::vector<std::string> ids() const {
    pugi::xml_document d;
    EXPECT_TRUE(d.load_string(access_list.c_str()));
    std::vector<std::string> out;
    for (const auto one : d.child("SignedIdentifiers").children("SignedIdentifier"))
      out.push_back(std::string(one.child_value("Id")) + "=" + one.child("AccessPolicy").child_value("Permission"));
    return out;
  }
  static std::string policy(const std::string& id) {
    return "<SignedIdentifier><Id>" + id +
           "</Id><AccessPolicy><Expiry>2030-01-01</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>";
  }

  result<std::unique_ptr<driver>> make(const std::string& name = "fleet",
                                       std::map<std::string, std::string> more = {
                                           {"connectionString",
                                            "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5;"
                                            "EndpointSuffix=core.windows.net"}}) {
    option_values values;
    if (!name.empty()) values.set("storedAccessPolicy", secret(name), false);
    for (const auto& [k, v] : more) values.set(k, secret(v), true);
    TRY(auto made, (*find_driver_type("AZURE"))->make(values, driver_context{net, clock}));
    return std::move(made.instance);
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    return http::run(ctx, std::move(t));
  }
  std::string url(driver& d, operation op = operation::put, bool create_only = false) {
    sign_spec s;
    s.object = "a.jpg";
    s.op = op;
    s.create_only = create_only;
    const auto made = run(d.sign(std::move(s)));
    return made ? made->url.reveal() : made.error().message();
  }
};

TEST_F(azure_policies_test, a_grant_names_a_policy_in_the_place_of_permissions_and_keeps_its_own_end) {
  const auto d = *make();
  EXPECT_THAT(url(*d), testing::AllOf(HasSubstr("si=fleet-1-put&"), HasSubstr("se=2026-11-22T18%3A02%3A00Z"),
                                      Not(HasSubstr("sp="))));
  EXPECT_THAT(url(*d, operation::put, true), HasSubstr("si=fleet-1-create&"));
  EXPECT_THAT(url(*d, operation::get), HasSubstr("si=fleet-1-get&"));
  EXPECT_THAT(ids(), ElementsAre("fleet-1-put=cw", "fleet-1-create=c", "fleet-1-get=r"));
  EXPECT_EQ(written, 1);
}

TEST_F(azure_policies_test, without_the_option_nothing_is_asked_and_there_is_no_lever) {
  const auto d = *make("");
  EXPECT_THAT(url(*d), testing::AllOf(HasSubstr("sp=cw"), Not(HasSubstr("si="))));
  EXPECT_THAT(net.seen, IsEmpty());
  EXPECT_FALSE(d->lever());
  EXPECT_EQ(run(d->end_grants()).error().code(), errc::unsupported);
}

TEST_F(azure_policies_test, the_lever_takes_the_policies_away_and_begins_a_round_whose_names_no_grant_has) {
  const auto d = *make();
  const auto before = url(*d);
  ASSERT_TRUE(d->lever());
  EXPECT_EQ(d->lever()->takes, seconds(30));
  ASSERT_TRUE(run(d->end_grants()));
  EXPECT_THAT(ids(), ElementsAre("fleet-2-put=cw", "fleet-2-create=c", "fleet-2-get=r"));
  const auto later = *make();  // as after a restart
  EXPECT_THAT(url(*later), HasSubstr("si=fleet-2-put&"));
}

TEST_F(azure_policies_test, it_is_pulled_before_any_grant_too) {
  access_list = "<SignedIdentifiers>" + policy("fleet-7-put") + "</SignedIdentifiers>";
  const auto d = *make();
  ASSERT_TRUE(run(d->end_grants()));
  EXPECT_THAT(ids(), ElementsAre("fleet-8-put=cw", "fleet-8-create=c", "fleet-8-get=r"));
}

TEST_F(azure_policies_test, policies_of_others_and_public_access_stay_as_they_are) {
  is_public = true;
  access_list = "<SignedIdentifiers>" + policy("fleet-x-put") + policy("fleet-1-puts") + "</SignedIdentifiers>";
  const auto d = *make();
  (void)url(*d);
  ASSERT_TRUE(run(d->end_grants()));
  EXPECT_THAT(ids(),
              ElementsAre("fleet-x-put=r", "fleet-1-puts=r", "fleet-2-put=cw", "fleet-2-create=c", "fleet-2-get=r"));
  EXPECT_THAT(access_list, HasSubstr("2030-01-01"));
  EXPECT_TRUE(is_public);
}

TEST_F(azure_policies_test, where_others_leave_no_room_nothing_is_written_and_no_grant_is_signed) {
  access_list = "<SignedIdentifiers>" + policy("a") + policy("b") + policy("c") + "</SignedIdentifiers>";
  const auto d = *make();
  EXPECT_THAT(url(*d), HasSubstr("has 3 stored access policies of others"));
  EXPECT_EQ(written, 0);
}

TEST_F(azure_policies_test, a_storage_that_refuses_is_told_of_and_asked_again) {
  const auto d = *make();
  refuse = 403;
  EXPECT_THAT(url(*d), HasSubstr("read the container's access policies"));
  EXPECT_FALSE(run(d->end_grants()));
  refuse = 0;
  EXPECT_THAT(url(*d), HasSubstr("si=fleet-1-put&"));
}

TEST_F(azure_policies_test, an_answer_that_is_no_list_changes_nothing) {
  const auto d = *make();
  access_list = "<html/>";
  EXPECT_FALSE(run(d->end_grants()));
  EXPECT_EQ(written, 0);
}

TEST_F(azure_policies_test, bad_names_and_signatures_that_name_no_policy_are_refused_at_the_field) {
  for (const auto* bad : {"a b", "a_b", "0123456789012345678901234567890123456789x"})
    EXPECT_EQ(make(bad).error().field(), "storedAccessPolicy") << bad;
  const auto made = make("fleet", {{"endpoint", "https://acct.blob.core.windows.net"},
                                   {"sasToken", "sv=2022-11-02&sr=c&sp=rcw&se=2027-01-01&sig=x"}});
  EXPECT_EQ(made.error().field(), "storedAccessPolicy");
}

}  // namespace
}  // namespace evp::storage
