// Which sessions a topic reaches: a trie of filter levels with a cache of whole topics
// in front (MQTT 5.0 sections 4.7, 4.8). Owned by the Broker; one shard.
//
// Memory: a node is 40 bytes with its first subscriber, plus about 6 for its place in its parent.
// Levels are interned once. A node of more than kIndexed subscribers has an index of them, 16 to 32
// bytes for each, so one of 100,000 that comes or goes is found at once. Limits: kTopicLevelsMax
// levels; kNodesMax nodes visited for one topic; kCacheBytesMax for the cache, which
// then begins anew; topics of more than kCachedTopicMax bytes are not cached. A topic of n levels
// has at most 2^(n+1) nodes whatever filters there are, so only topics of 14 levels and more can
// come to that limit, where their subscribers have filled the tree with "+".
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/string_map.h"

namespace berth::session {

struct Session;

// Subscription options as on the wire (3.8.3.1).
struct SubOptions {
  std::uint8_t raw = 0;
  std::uint8_t qos() const { return raw & 3; }
  bool no_local() const { return (raw & 4) != 0; }
  bool retain_as_published() const { return (raw & 8) != 0; }
  std::uint8_t retain_handling() const { return (raw >> 4) & 3; }
};

using FilterId = std::uint32_t;

struct SharedGroup;

// One receiver of a topic: all its matching filters merged into one delivery.
struct Target {
  Session* session = nullptr;
  SubOptions options;
  std::vector<std::uint32_t> ids;  // subscription identifiers
};

struct SharedGroup {
  struct Member {
    Session* session;
    SubOptions options;
    std::uint32_t id;
  };
  std::string name;
  std::uint32_t route = 0;  // route_of_group()
  std::vector<Member> members;
  std::size_t next = 0;  // round robin
};

struct Match {
  std::vector<Target> targets;
  std::vector<SharedGroup*> groups;
  bool empty() const { return targets.empty() && groups.empty(); }
};

class Router {
 public:
  static constexpr std::uint32_t kNodesMax = 16'384;
  static constexpr std::size_t kCacheBytesMax = std::size_t{64} << 20;
  static constexpr std::size_t kCachedTopicMax = 1024;
  explicit Router(std::size_t cache_topics_max = 8192);
  Router(const Router&) = delete;  // its sets point into it
  Router& operator=(const Router&) = delete;
  // Returns the node of a filter (not "$share/…"), and makes it if there is none. It lasts until a
  // remove() after which neither it nor a node below it has a subscription.
  FilterId intern(std::string_view filter);
  std::string filter(FilterId id) const;

  // `group` empty: an ordinary subscription. Replaces options of an existing one; true if new.
  bool add(FilterId id, Session* s, std::string_view group, SubOptions options,
           std::uint32_t sub_id);
  bool remove(FilterId id, Session* s, std::string_view group);
  // Entries of shared groups that the last add() or remove() has looked at, one by one.
  std::uint32_t looked() const { return looked_; }
  std::size_t groups_of(FilterId id) const {
    return nodes_[id].more ? nodes_[id].more->groups.size() : 0;
  }

  // Valid until the next change of subscriptions or the next match.
  const Match& match(std::string_view topic);
  // Nodes that the last match has visited, 0: it was cached. Above kNodesMax: some were not.
  std::uint32_t visited() const { return visited_; }
  // Subscribers and groups that it has found at them.
  std::uint32_t collected() const { return collected_; }
  std::size_t cached_bytes() const { return cached_bytes_; }

 private:
  static constexpr std::size_t kIndexed = 32;
  struct Entry {
    Session* session = nullptr;
    std::uint32_t id = 0;
    SubOptions options;
  };
  // What only few nodes have: further subscribers and shared groups.
  struct More {
    std::vector<Entry> entries;
    std::vector<std::unique_ptr<SharedGroup>> groups;
    // Where in `entries` a session is: from kIndexed entries on.
    std::unique_ptr<boost::unordered_flat_map<const Session*, std::uint32_t>> places;
    bool empty() const { return entries.empty() && groups.empty(); }
  };
  struct Node {
    Entry first;  // its session is null: no subscriber
    std::unique_ptr<More> more;
    std::uint32_t parent = 0;
    std::uint32_t level = 0;
    std::uint32_t children : 31 = 0;
    std::uint32_t has_hash : 1 = 0;  // a child "#"
    std::uint32_t plus = 0;          // the child "+"; here because a walk asks at each node
    bool empty() const { return children == 0 && first.session == nullptr && !more; }
  };
  std::uint32_t intern_level(std::string_view level);
  void unref_level(std::uint32_t level);
  std::uint32_t child(std::uint32_t parent, std::string_view level);
  std::uint32_t find_child(std::uint32_t parent, std::string_view level) const;  // 0: none
  std::uint32_t child_at(std::uint32_t parent, std::uint32_t level) const;       // 0: none
  More& more_of(Node& node);
  static Entry* entry_of(More& more, const Session* s);
  static void add_entry(More& more, const Entry& e);
  static Entry take_entry(More& more, std::size_t at);
  bool add_shared(FilterId node, Session* s, std::string_view group, SubOptions o,
                  std::uint32_t id);
  bool remove_plain(Node& node, Session* s);
  bool remove_shared(Node& node, Session* s, std::string_view group);
  void prune(std::uint32_t node);
  void find_path(std::string_view topic);
  void walk(std::uint32_t node, std::size_t depth, bool dollar, Match& out);
  void collect(std::uint32_t node, Match& out);
  void changed() {
    if (!cache_.empty()) cache_.clear();
    cached_bytes_ = 0;
  }

  struct Level {
    std::string text;
    std::uint32_t refs = 0;
  };

  // Sets of numbers that hash and compare what they number: 4 bytes an element.
  struct LevelHash {
    using is_transparent = void;
    const Router* r;
    std::size_t operator()(std::uint32_t id) const {
      return (*this)(std::string_view(r->levels_[id].text));
    }
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  struct LevelEq {
    using is_transparent = void;
    const Router* r;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(std::string_view a, std::uint32_t b) const { return a == r->levels_[b].text; }
    bool operator()(std::uint32_t a, std::string_view b) const { return r->levels_[a].text == b; }
  };
  struct ChildKey {
    std::uint32_t parent;
    std::uint32_t level;
  };
  struct ChildHash {
    using is_transparent = void;
    const Router* r;
    std::size_t operator()(std::uint32_t node) const {
      return (*this)(ChildKey{r->nodes_[node].parent, r->nodes_[node].level});
    }
    std::size_t operator()(ChildKey k) const {
      return std::hash<std::uint64_t>{}(((static_cast<std::uint64_t>(k.parent) << 32) | k.level) *
                                        0x9e3779b97f4a7c15ULL);
    }
  };
  struct ChildEq {
    using is_transparent = void;
    const Router* r;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(ChildKey a, std::uint32_t b) const {
      return r->nodes_[b].parent == a.parent && r->nodes_[b].level == a.level;
    }
    bool operator()(std::uint32_t a, ChildKey b) const { return (*this)(b, a); }
  };

  std::deque<Node> nodes_;  // grows without copies or slack
  std::vector<std::uint32_t> free_nodes_;
  std::deque<Level> levels_{1};  // 0: a level that no filter has
  std::vector<std::uint32_t> free_levels_;
  boost::unordered_flat_set<std::uint32_t, ChildHash, ChildEq> children_{0, ChildHash{this},
                                                                         ChildEq{this}};
  boost::unordered_flat_set<std::uint32_t, LevelHash, LevelEq> level_ids_{0, LevelHash{this},
                                                                          LevelEq{this}};
  base::StringMap<std::unique_ptr<Match>> cache_;
  std::size_t cache_topics_max_;
  std::size_t cached_bytes_ = 0;     // topics, targets, subscription identifiers, groups
  std::unique_ptr<Match> uncached_;  // of the last topic that is not
  boost::unordered_flat_map<const Session*, std::size_t> merge_;  // scratch of collect()
  std::uint32_t plus_ = 0;                                        // the levels "+" and "#"
  std::uint32_t hash_ = 0;
  std::vector<std::uint32_t> path_;  // scratch of match(): the topic's levels
  std::uint32_t visited_ = 0;
  std::uint32_t collected_ = 0;
  std::uint32_t looked_ = 0;
};

}  // namespace berth::session
