// The state behind a handle: the channel, the module's callbacks, and what is waiting for one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "evp/sdk.h"
#include "sdk/channel.h"
#include "sdk/spool.h"

namespace evp::module_socket {
struct Event;
struct BlobOutput;
struct EarlierOutcome;
}  // namespace evp::module_socket

namespace evp::sdk {

/// A transfer that was accepted: what to call, and the spooled blob if it is one from memory.
struct transfer {
  EVP_BLOB_TYPE type;
  EVP_BLOB_OPERATION op;
  EVP_BLOB_CALLBACK cb;
  EVP_BLOB_IO_CALLBACK io;
  std::unique_ptr<spooled_blob> spooled;
};
using callback = std::variant<EVP_STATE_CALLBACK, EVP_TELEMETRY_CALLBACK, EVP_MESSAGE_SENT_CALLBACK,
                              EVP_RPC_RESPONSE_CALLBACK, transfer>;

}  // namespace evp::sdk

struct EVP_client {
 public:
  EVP_client(int fd, std::string workspace) : channel_(fd), workspace_(std::move(workspace)) {}

  const std::string& workspace() const noexcept { return workspace_; }
  EVP_client* elder = nullptr;  ///< the client made before: none is ever destroyed, and all stay reachable
  /// Puts the callback aside and returns the token that travels in its place.
  std::uint64_t expect(evp::sdk::callback cb, void* user);
  /// The request was not accepted: forgets its callback.
  void forget(std::uint64_t token) { waiting_.erase(token); }
  /// Sends a finished Request and gives back what the runtime answers.
  EVP_RESULT call(std::string_view request);
  /// The same for a blob operation: `operation` gets its id, 0 where the runtime gives none.
  EVP_RESULT call(std::string_view request, std::uint64_t& operation);
  /// The runtime has taken a copy of the spooled blob: its file goes.
  void drop_spooled(std::uint64_t token);
  EVP_RESULT process_event(int timeout_ms);

  EVP_CONFIGURATION_CALLBACK on_configuration = nullptr;
  void* configuration_user = nullptr;
  EVP_MESSAGE_RECEIVED_CALLBACK on_message = nullptr;
  void* message_user = nullptr;
  EVP_RPC_REQUEST_CALLBACK on_rpc = nullptr;
  void* rpc_user = nullptr;
  EVP_BLOB_OUTCOME_CALLBACK on_outcome = nullptr;
  void* outcome_user = nullptr;
  EVP_BLOB_PROGRESS_CALLBACK on_progress = nullptr;
  void* progress_user = nullptr;
  EVP_BLOB_PRIORITY priority = EVP_BLOB_PRIORITY_NORMAL;
  std::uint64_t last_operation = 0;

 private:
  struct waiting {
    evp::sdk::callback cb;
    void* user;
  };

  EVP_RESULT poll(evp::sdk::deadline until, bool for_ever);
  EVP_RESULT dispatch(const evp::module_socket::Event& event);
  void finish_transfer(waiting done, const evp::module_socket::BlobOutput& out);
  void finish_earlier(const evp::module_socket::EarlierOutcome& e);
  std::string get_event(std::chrono::milliseconds from_now);
  template <class Callback, class Reason>
  EVP_RESULT finish(std::uint64_t token, std::uint32_t reason);

  evp::sdk::channel channel_;
  std::string workspace_;
  std::uint64_t last_token_ = 0;
  std::map<std::uint64_t, waiting> waiting_;
  std::vector<std::uint64_t> processed_;  ///< outcomes to be acknowledged with the next poll
  bool exit_ = false;
};
