// The connections that the server has: what each is at, and which one gives way to a newcomer when all are taken.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>

#include "base/time.h"

namespace evp::http {

/// What a connection is at. All but `work` wait for the client to say something.
enum class stage {
  handshake,  ///< of TLS
  idle,       ///< nothing of a request is there
  head,       ///< a part of a request's head is there
  body,       ///< the server waits for more of a body
  leaving,    ///< answered for the last time; what the client still sends is dropped
  work,       ///< a request is worked on, or its answer is on its way
};

/// Connections that were ended for what their clients did, or left undone, since the start.
struct connection_counts {
  std::size_t open = 0;         ///< now
  std::uint64_t handshake = 0;  ///< TLS handshakes that failed or took too long
  std::uint64_t slow_head = 0;
  std::uint64_t slow_body = 0;
  std::uint64_t large_head = 0;  ///< in bytes or in fields
  std::uint64_t malformed = 0;
  std::uint64_t displaced = 0;  ///< gave way to a newcomer
};

/// Confined to the server's executor.
class connections {
 public:
  using peers = std::map<std::string, std::size_t>;  ///< how many each address has
  struct entry {
    peers::iterator peer;
    std::function<void()> close;  ///< ends what the connection waits for; called once at most
    stage at = stage::handshake;
    steady_time since{};  ///< when it entered the stage
    bool closed = false;
  };
  using handle = std::list<entry>::iterator;

  handle add(std::string peer, std::function<void()> close, steady_time now);
  void remove(handle which);
  /// Entering the stage that it is at changes nothing: a byte now and then does not make it young again.
  static void enter(handle which, stage at, steady_time now);

  /// Closes one that waits for its client: of the address that has most connections the one that has waited longest,
  /// one in the middle of a body only where it has no other that waits. So who opens many pays, and not who came last.
  /// False where none waits.
  bool displace();
  /// Closes those between requests.
  void close_idle();
  void close_all();

  std::size_t size() const noexcept { return all_.size(); }
  /// Without `open`.
  connection_counts counts;

 private:
  static void close(entry& e);
  peers peers_;
  std::list<entry> all_;
};

}  // namespace evp::http
