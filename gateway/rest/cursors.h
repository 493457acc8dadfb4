// Cursors of lists: where the next page begins, sealed, for a page may end at a record that its
// caller may not see. All processes of a gateway seal with one key, made of the secret that is kept
// where the store is (gateway/node/principal_secret.h), so that a cursor is good at each of them
// and after a restart. The edge of a cluster has no store: it asks an engine for the key.
//
//   cursor := BASE64URL(salt:16 AES-256-GCM(place, padded to the list's width))
//
// The key of a cursor is HMAC-SHA256(key, salt), so that no two cursors share one; the name of the
// list and the tenant are authenticated with the place.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/admin/message.h"
#include "gateway/link/asker.h"

namespace berth::gateway::rest {

// Of the secret, what the key is made for.
inline constexpr const char* kCursorPurpose = "cursors";

struct ListKind {
  const char* name;
  std::size_t width;     // places are padded to a multiple of it: no length tells of a record
  bool is_same = false;  // the same place has the same cursor: where places are of visible records
  std::size_t characters_max = 400;
};
namespace lists {
inline constexpr ListKind kTenants{"tenants", 72};
inline constexpr ListKind kSites{"sites", 72};
inline constexpr ListKind kProducts{"products", 72};
inline constexpr ListKind kDevices{"devices", 72};
inline constexpr ListKind kAccounts{"accounts", 72};
inline constexpr ListKind kPresence{"presence", 72};
inline constexpr ListKind kDesired{"desired", 72};
inline constexpr ListKind kCommands{"commands", 160};
inline constexpr ListKind kHistory{"history", 24};
inline constexpr ListKind kEvents{"events", 24, true};
}  // namespace lists

class Seal {
 public:
  explicit Seal(std::string key) : key_(std::move(key)) {}
  // `tenant`: whose records are listed; empty: those of all tenants.
  std::string close(const ListKind& list, std::string_view tenant, std::string_view place) const;
  // Nothing: it is no cursor of this list and tenant.
  std::optional<std::string> open(const ListKind& list, std::string_view tenant,
                                  std::string_view cursor) const;

 private:
  std::string key_;
};
using SealPtr = std::shared_ptr<const Seal>;  // of requests and streams under way

// For a cursor that open() refuses.
admin::Response bad_cursor(const char* parameter = "cursor");

// The seal of a process, for its admin server; on the home loop.
class Cursors {
 public:
  // `asker` outlives it.
  explicit Cursors(const link::Asker& asker) : asker_(asker) {}
  Cursors(const Cursors&) = delete;
  Cursors& operator=(const Cursors&) = delete;
  // Calls `then` once, perhaps later; with null: no engine can be asked for the key now.
  void get(std::function<void(SealPtr)> then);
  // Of a process that has the secret; null: not yet.
  static SealPtr local();

 private:
  const link::Asker& asker_;
  SealPtr asked_;  // by the key of an engine
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::rest
