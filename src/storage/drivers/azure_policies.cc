#include "storage/drivers/azure_policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <pugixml.hpp>
#include <sstream>

#include "auth/azure_shared_key.h"

namespace evp::storage {
namespace {

struct kind_of_grant {
  std::string_view permissions, suffix;
};
constexpr std::array<kind_of_grant, 3> kinds{{{"cw", "put"}, {"c", "create"}, {"r", "get"}}};

constexpr std::string_view public_access = "x-ms-blob-public-access";

std::string id_of(std::string_view name, unsigned round, std::string_view suffix) {
  return fmt::format("{}-{}-{}", name, round, suffix);
}

/// The round of an id of ours; 0: it is another's.
unsigned round_of(std::string_view id, std::string_view name) {
  if (!id.starts_with(name) || id.substr(name.size()).substr(0, 1) != "-") return 0;
  const auto rest = id.substr(name.size() + 1);
  unsigned round = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), round);
  if (read.ec != std::errc()) return 0;
  const auto is_it = [&](const kind_of_grant& k) { return id == id_of(name, round, k.suffix); };
  return std::any_of(kinds.begin(), kinds.end(), is_it) ? round : 0;
}

}  // namespace

/// The container's access list.
struct azure_policies::list {
  pugi::xml_document document;
  std::string public_access;  ///< who may read without a signature: stays as it is
  pugi::xml_node root() { return document.child("SignedIdentifiers"); }
};

result<void> azure_policies::check_name(std::string_view name) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!name.empty() && name.size() <= max_name && std::all_of(name.begin(), name.end(), ok)) return {};
  return fail(errc::invalid_argument, "storedAccessPolicy",
              fmt::format("must have 1 to {} characters A-Z a-z 0-9 -: the beginning of the policies' ids", max_name));
}

azure_policies::azure_policies(const driver_context& context, const auth::azure_sas_signer& signer,
                               const endpoint& account, const std::string& container, std::string name)
    : transport_(context.transport),
      clock_(context.clock),
      signer_(signer),
      ca_pem_(context.ca_pem),
      origin_(account.origin()),
      path_(account.target + "/" + container),
      name_(std::move(name)) {}

io::task<result<void>> azure_policies::prepare() {
  CO_TRY(auto all, co_await read());
  unsigned round = 0, found = 0;
  for (const auto one : all.root().children("SignedIdentifier")) {
    const auto its = round_of(one.child_value("Id"), name_);
    found = its > round ? 1 : found + (its != 0 && its == round);
    round = std::max(round, its);
  }
  if (found < kinds.size()) {
    round = std::max({round, round_, 1U});
    CO_CHECK(co_await write(std::move(all), round));
  }
  round_ = round;
  co_return result<void>();
}

std::string azure_policies::id_for(std::string_view permissions) const {
  const auto is_it = [&](const kind_of_grant& k) { return k.permissions == permissions; };
  const auto found = std::find_if(kinds.begin(), kinds.end(), is_it);
  return id_of(name_, round_, found == kinds.end() ? std::string_view("none") : found->suffix);
}

vendor_lever azure_policies::lever() {
  return {"azure-stored-access-policy",
          "All grants for this container that were signed under this service's storedAccessPolicy, of all devices and "
          "of every service that names the same policy there.",
          seconds(30), "https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy"};
}

io::task<result<void>> azure_policies::end_all() {
  CO_TRY(auto all, co_await read());
  auto last = round_;
  for (const auto one : all.root().children("SignedIdentifier"))
    last = std::max(last, round_of(one.child_value("Id"), name_));
  const auto next = last + 1;
  CO_CHECK(co_await write(std::move(all), next));
  round_ = next;
  co_return result<void>();
}

io::task<result<azure_policies::list>> azure_policies::read() {
  CO_TRY(const auto answer, co_await transport_.send(request("GET", "", {})));
  if (answer.status != 200)
    co_return fail(
        error_of_answer(answer, "read the container's access policies", http::find(answer.fields, "x-ms-error-code")));
  list all;
  if (!all.document.load_buffer(answer.body.data(), answer.body.size()) || !all.root())
    co_return fail(errc::data_corrupt, "the storage's list of access policies is not understood");
  all.public_access = http::find(answer.fields, public_access);
  co_return std::move(all);
}

/// With the policies of that round, and none of the others of this name.
io::task<result<void>> azure_policies::write(list all, unsigned round) {
  auto root = all.root();
  std::size_t others = 0;
  for (auto one = root.first_child(); one;) {
    const auto next = one.next_sibling();
    if (round_of(one.child_value("Id"), name_) != 0)
      root.remove_child(one);
    else
      ++others;
    one = next;
  }
  if (others + kinds.size() > max_policies)
    co_return fail(errc::failed_precondition,
                   fmt::format("the container has {} stored access policies of others and may have {} in all: remove "
                               "some, since storedAccessPolicy takes {}",
                               others, max_policies, kinds.size()));
  for (const auto& k : kinds) {
    auto one = root.append_child("SignedIdentifier");
    one.append_child("Id").text().set(id_of(name_, round, k.suffix).c_str());
    one.append_child("AccessPolicy").append_child("Permission").text().set(std::string(k.permissions).c_str());
  }
  std::ostringstream text;
  all.document.save(text, "", pugi::format_raw);
  http::headers fields{{"Content-Type", "application/xml"}};
  if (!all.public_access.empty()) fields.push_back({std::string(public_access), all.public_access});
  CO_TRY(const auto answer, co_await transport_.send(request("PUT", text.str(), std::move(fields))));
  if (answer.status == 200) co_return result<void>();
  co_return fail(
      error_of_answer(answer, "write the container's access policies", http::find(answer.fields, "x-ms-error-code")));
}

http::request azure_policies::request(std::string method, std::string body, http::headers fields) const {
  auth::signable_request wanted;
  wanted.method = std::move(method);
  wanted.path = path_;
  wanted.query = {{"comp", "acl"}, {"restype", "container"}};
  wanted.fields = std::move(fields);
  auth::sign_azure_shared_key(signer_, wanted, body.size(), clock_.now());
  http::request r;
  r.method = wanted.method;
  r.url = secret(origin_ + path_ + "?comp=acl&restype=container");
  r.fields = std::move(wanted.fields);
  r.max_response_bytes = refusal_max_bytes;
  r.ca_pem = ca_pem_;
  if (!body.empty()) r.body = std::move(body);
  return r;
}

}  // namespace evp::storage
