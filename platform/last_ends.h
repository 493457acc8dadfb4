// The last ends of connections, by client: when and why, of clients that are in no registry too, so
// that `berth ctl why CLIENT` has an answer without a history. In memory: a new engine begins anew.
// It has kClients clients with kEach ends, about 3 MB at most. A client that finds no place takes
// that of the one that ended longest ago in the group with most places: a group is a tenant, a
// user of the password file, or of anonymous clients an address (IPv6: /64). So no client pushes
// more than its own group's ends out, whatever ids it uses. Owned by Insights. One shard, one
// thread.
#pragma once

#include <array>
#include <boost/unordered/unordered_map.hpp>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/address.h"
#include "platform/causes.h"
#include "platform/top_list.h"
#include "protocol/link/types.h"

namespace berth::platform {

class LastEnds {
 public:
  static constexpr std::size_t kClients = 4096;
  static constexpr std::size_t kEach = 5;

  struct End {
    std::int64_t at_ms = 0;  // Unix time
    Cause cause{};
    protocol::link::CloseReason why{};  // count: not known
    const char* protocol = "";
    std::string address;  // with its port
  };
  struct Client {
    std::string tenant, site, name, client_id;  // as TopList::Place has them
    bool is_account = false;
    std::array<End, kEach> ends;  // a ring
    std::size_t count = 0;        // of all that have been added
    std::string group;
  };

  LastEnds() = default;
  LastEnds(const LastEnds&) = delete;
  LastEnds& operator=(const LastEnds&) = delete;

  // `who`: place_of() the session; `from`: the connection's address.
  void add(const TopList::Place& who, const base::Address& from, End end);
  // Of the clients that are called `client`, by client id or by name, the newest end of each first;
  // empty: of all. f(const Client&, const End&)
  template <class F>
  void each(std::string_view client, F&& f) const {
    for (const auto& [name, group] : groups_) {
      for (const Client& c : group.clients) {
        if (!client.empty() && c.client_id != client && c.name != client) continue;
        const std::size_t n = c.count < kEach ? c.count : kEach;
        for (std::size_t i = 1; i <= n; ++i) f(c, c.ends[(c.count - i) % kEach]);
      }
    }
  }
  std::size_t size() const { return clients_.size(); }

 private:
  using Clients = std::list<Client>;
  struct Group {
    Clients clients;  // whose connection ended last is the first
  };
  // The most clients first; of equal ones the one whose last client ended longest ago.
  struct More {
    bool operator()(const Group* a, const Group* b) const;
  };
  void make_room();

  std::map<std::string, Group> groups_;
  boost::unordered_map<std::string, Clients::iterator> clients_;  // by key_of()
  std::set<Group*, More> by_size_;
};

}  // namespace berth::platform
