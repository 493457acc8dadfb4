// The list of ended sessions of the console, as one process knows it (platform/ended_sessions.h):
// it is read from the engine of partition 0 when it is needed and older than kFresh_ms. While no
// engine can say it, the last one holds; a process that has never read it takes only sessions that
// were begun since it runs. On the home loop of the admin port.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/admin/sessions.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

class EndedSessions {
 public:
  static constexpr std::int64_t kFresh_ms = 1500;
  static constexpr std::size_t kOwnMost = 1000;

  // `asker` outlives it. `begun_s`: when this process began, Unix time.
  EndedSessions(const link::Asker& asker, std::int64_t begun_s)
      : asker_(asker), begun_s_(begun_s) {}
  EndedSessions(const EndedSessions&) = delete;
  EndedSessions& operator=(const EndedSessions&) = delete;

  // Calls `then` when the list is fresh, or can't be made so; perhaps within the call.
  void refresh(std::function<void()> then);
  admin::SessionState state_of(const admin::OpenedSession& s) const;
  // Here at once. `then`: is it stored, so that it holds everywhere and after restarts?
  void end(const admin::OpenedSession& s, std::function<void(bool stored)> then);
  // Its credential is not good any more: here it needs not be asked about again.
  void end_here(const admin::OpenedSession& s);
  void take(const std::string& answer);  // EndedSessionsAnswer

 private:
  const link::Asker& asker_;
  const std::int64_t begun_s_;
  bool known_ = false;
  std::int64_t read_ms_ = -kFresh_ms - 1;  // monotonic, or tried
  std::uint64_t version_ = 0;
  std::unordered_set<std::string> ids_;
  std::unordered_map<std::string, std::int64_t> before_;  // by account: begun until then
  std::unordered_set<std::string> own_;                   // ended here; kOwnMost
  std::deque<std::string> own_order_;
  std::vector<std::function<void()>> waiting_;  // requests under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::rest
