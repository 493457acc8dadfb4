// What the admin server counts. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace berth::gateway::admin {

struct Figures {
  std::atomic<std::uint64_t> connections{0};   // now
  std::atomic<std::uint64_t> waiting{0};       // now: requests whose answers come later
  std::atomic<std::uint64_t> streams{0};       // now
  std::atomic<std::uint64_t> streams_slow{0};  // ended: their clients did not read
  // Answers that a limit of what a request may look at has cut short.
  std::atomic<std::uint64_t> cut_lists{0};
  std::atomic<std::uint64_t> cut_resumes{0};  // of streams: the history was not asked
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> refused_host{0};
  std::atomic<std::uint64_t> refused_origin{0};
  std::atomic<std::uint64_t> refused_token{0};
  std::atomic<std::uint64_t> refused_session{0};  // it has ended, or its credential is not good now
  std::atomic<std::uint64_t> refused_throttled{0};  // too many failed attempts, or nonces
  std::atomic<std::uint64_t> refused_scope{0};      // a good credential that does not include it
  std::atomic<std::uint64_t> refused_busy{0};       // no room for a connection, body, wait, stream
  std::atomic<std::uint64_t> refused_malformed{0};  // or too large
};

}  // namespace berth::gateway::admin
