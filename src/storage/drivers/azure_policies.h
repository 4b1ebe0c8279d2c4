// The stored access policies of a container that grants name instead of their permissions: who takes the policies away
// takes back all grants at once.
//
// https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy (five a container; up to 30 s)
#pragma once

#include <string>
#include <string_view>

#include "auth/azure_sas.h"
#include "storage/drivers/requests.h"

namespace evp::storage {

/// Three policies, "<name>-<round>-put", "-create" and "-get"; each time that grants are taken back begins a round of
/// its own, whose ids no earlier grant names. All who use the name on this container share them. A policy holds the
/// permissions, since Azure refuses a SAS that names a policy and says the same thing itself; the expiry is the SAS's.
class azure_policies {
 public:
  static constexpr std::size_t max_name = 40;  ///< Azure takes ids of 64 characters
  static constexpr std::size_t max_policies = 5;

  /// Checks the name: 1 to max_name characters A-Z a-z 0-9 -. Errors: invalid_argument at "storedAccessPolicy".
  static result<void> check_name(std::string_view name);

  /// `account` is where the account is; its key signs, since no SAS may do this. The references outlive this.
  azure_policies(const driver_context& context, const auth::azure_sas_signer& signer, const endpoint& account,
                 const std::string& container, std::string name);

  /// Finds the round in force at the storage, and makes what lacks of it. Errors: failed_precondition (too many
  /// policies of others), and as driver::prepare.
  io::task<result<void>> prepare();
  /// The round is known.
  bool is_ready() const noexcept { return round_ != 0; }
  /// Once ready, of the policy that permits this: "cw", "c" or "r".
  std::string id_for(std::string_view permissions) const;
  static vendor_lever lever();
  /// Takes all rounds away and begins the next, in one request. Errors: as prepare().
  io::task<result<void>> end_all();

 private:
  struct list;
  io::task<result<list>> read();
  io::task<result<void>> write(list all, unsigned round);
  http::request request(std::string method, std::string body, http::headers fields) const;

  http::transport& transport_;
  const io::clock& clock_;
  const auth::azure_sas_signer& signer_;
  std::string ca_pem_, origin_, path_, name_;
  unsigned round_ = 0;  ///< 0: not known yet
};

}  // namespace evp::storage
