#include "session/router.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "protocol/mqtt/topic.h"
#include "session/peer_tag.h"

namespace berth::session {
namespace {

// What a Match holds of the heap, with its place in the cache.
std::size_t bytes_of(std::string_view topic, const Match& m) {
  constexpr std::size_t kAllocation = 16;  // of malloc, for each block
  std::size_t n = sizeof(Match) + 2 * sizeof(std::string) + topic.size() + 4 * kAllocation;
  n += m.targets.capacity() * sizeof(Target) + m.groups.capacity() * sizeof(SharedGroup*);
  for (const Target& t : m.targets) {
    if (t.ids.capacity() != 0) n += t.ids.capacity() * sizeof(std::uint32_t) + kAllocation;
  }
  return n;
}

}  // namespace

Router::Router(std::size_t cache_topics_max) : cache_topics_max_(cache_topics_max) {
  nodes_.emplace_back();
  plus_ = intern_level("+");  // for ever
  hash_ = intern_level("#");
}

std::uint32_t Router::intern_level(std::string_view level) {
  const auto it = level_ids_.find(level);
  if (it != level_ids_.end()) {
    ++levels_[*it].refs;
    return *it;
  }
  std::uint32_t id;
  if (free_levels_.empty()) {
    id = static_cast<std::uint32_t>(levels_.size());
    levels_.emplace_back();
  } else {
    id = free_levels_.back();
    free_levels_.pop_back();
  }
  levels_[id] = {std::string(level), 1};
  level_ids_.insert(id);
  return id;
}

void Router::unref_level(std::uint32_t level) {
  Level& l = levels_[level];
  if (--l.refs != 0) return;
  level_ids_.erase(level);
  l.text = {};
  free_levels_.push_back(level);
}

std::uint32_t Router::find_child(std::uint32_t parent, std::string_view level) const {
  const auto known = level_ids_.find(level);
  return known == level_ids_.end() ? 0 : child_at(parent, *known);
}

std::uint32_t Router::child_at(std::uint32_t parent, std::uint32_t level) const {
  const auto it = children_.find(ChildKey{parent, level});
  return it == children_.end() ? 0 : *it;
}

std::uint32_t Router::child(std::uint32_t parent, std::string_view level) {
  if (const std::uint32_t known = find_child(parent, level)) return known;
  const std::uint32_t level_id = intern_level(level);
  std::uint32_t id;
  if (free_nodes_.empty()) {
    id = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = free_nodes_.back();
    free_nodes_.pop_back();
    nodes_[id] = Node{};
  }
  nodes_[id].parent = parent;
  nodes_[id].level = level_id;
  children_.insert(id);
  ++nodes_[parent].children;
  if (level_id == plus_) nodes_[parent].plus = id;
  if (level_id == hash_) nodes_[parent].has_hash = 1;
  return id;
}

FilterId Router::intern(std::string_view filter) {
  protocol::mqtt::Levels levels(filter);
  std::string_view level;
  std::uint32_t node = 0;
  while (levels.next(level)) node = child(node, level);
  return node;
}

std::string Router::filter(FilterId id) const {
  std::size_t size = 0;
  for (std::uint32_t n = id; n != 0; n = nodes_[n].parent)
    size += levels_[nodes_[n].level].text.size() + 1;
  std::string out(size == 0 ? 0 : size - 1, '/');
  for (std::uint32_t n = id; n != 0; n = nodes_[n].parent) {  // from the end
    const std::string& text = levels_[nodes_[n].level].text;
    size -= text.size() + 1;
    out.replace(size, text.size(), text);
  }
  return out;
}

// Gives back nodes that lead nowhere any more.
void Router::prune(std::uint32_t node) {
  while (node != 0) {
    Node& n = nodes_[node];
    if (n.more && n.more->empty()) n.more.reset();
    if (!n.empty()) return;
    const std::uint32_t parent = n.parent;
    children_.erase(node);
    Node& p = nodes_[parent];
    --p.children;
    if (n.level == plus_) p.plus = 0;
    if (n.level == hash_) p.has_hash = 0;
    unref_level(n.level);
    nodes_[node] = Node{};
    free_nodes_.push_back(node);
    node = parent;
  }
}

Router::More& Router::more_of(Node& node) {
  if (!node.more) node.more = std::make_unique<More>();
  return *node.more;
}

bool Router::add(FilterId id, Session* s, std::string_view group, SubOptions options,
                 std::uint32_t sub_id) {
  changed();
  looked_ = 0;
  Node& node = nodes_[id];
  if (!group.empty()) return add_shared(id, s, group, options, sub_id);
  Entry* known = node.first.session == s ? &node.first : nullptr;
  if (known == nullptr && node.more) known = entry_of(*node.more, s);
  if (known == nullptr && node.first.session == nullptr) {
    node.first = {s, sub_id, options};
  } else if (known == nullptr) {
    add_entry(more_of(node), {s, sub_id, options});
  } else {
    *known = {s, sub_id, options};
  }
  return known == nullptr;
}

Router::Entry* Router::entry_of(More& more, const Session* s) {
  if (more.places) {
    const auto it = more.places->find(s);
    return it == more.places->end() ? nullptr : &more.entries[it->second];
  }
  const auto it = std::find_if(more.entries.begin(), more.entries.end(),
                               [s](const Entry& e) { return e.session == s; });
  return it == more.entries.end() ? nullptr : &*it;
}

void Router::add_entry(More& more, const Entry& e) {
  more.entries.push_back(e);
  if (!more.places && more.entries.size() < kIndexed) return;
  if (more.places) {
    more.places->emplace(e.session, static_cast<std::uint32_t>(more.entries.size() - 1));
    return;
  }
  more.places = std::make_unique<boost::unordered_flat_map<const Session*, std::uint32_t>>();
  for (std::uint32_t i = 0; i < more.entries.size(); ++i)
    more.places->emplace(more.entries[i].session, i);
}

// The last one takes its place.
Router::Entry Router::take_entry(More& more, std::size_t at) {
  const Entry taken = std::exchange(more.entries[at], more.entries.back());
  more.entries.pop_back();
  if (more.places) {
    more.places->erase(taken.session);
    if (at != more.entries.size())
      (*more.places)[more.entries[at].session] = static_cast<std::uint32_t>(at);
    if (more.entries.size() < kIndexed / 2) more.places.reset();
  }
  return taken;
}

bool Router::add_shared(FilterId id, Session* s, std::string_view group, SubOptions options,
                        std::uint32_t sub_id) {
  auto& groups = more_of(nodes_[id]).groups;
  auto g =
      std::find_if(groups.begin(), groups.end(), [&](const auto& p) { return p->name == group; });
  looked_ = static_cast<std::uint32_t>(g - groups.begin());
  if (g == groups.end()) {
    groups.push_back(std::make_unique<SharedGroup>());
    g = std::prev(groups.end());
    (*g)->name = group;
    (*g)->route = route_of_group("$share/" + (*g)->name + "/" + filter(id));
  }
  looked_ += static_cast<std::uint32_t>((*g)->members.size());
  for (SharedGroup::Member& m : (*g)->members) {
    if (m.session != s) continue;
    m.options = options;
    m.id = sub_id;
    return false;
  }
  (*g)->members.push_back({s, options, sub_id});
  return true;
}

bool Router::remove(FilterId id, Session* s, std::string_view group) {
  changed();
  looked_ = 0;
  Node& node = nodes_[id];
  const bool removed = group.empty() ? remove_plain(node, s) : remove_shared(node, s, group);
  prune(id);
  return removed;
}

bool Router::remove_plain(Node& node, Session* s) {
  if (node.first.session == s) {
    node.first = Entry{};
    if (node.more && !node.more->entries.empty())
      node.first = take_entry(*node.more, node.more->entries.size() - 1);
    return true;
  }
  const Entry* e = node.more ? entry_of(*node.more, s) : nullptr;
  if (e == nullptr) return false;
  take_entry(*node.more, static_cast<std::size_t>(e - node.more->entries.data()));
  return true;
}

bool Router::remove_shared(Node& node, Session* s, std::string_view group) {
  if (!node.more) return false;
  auto& groups = node.more->groups;
  for (auto g = groups.begin(); g != groups.end(); ++g) {
    ++looked_;
    if ((*g)->name != group) continue;
    auto& members = (*g)->members;
    looked_ += static_cast<std::uint32_t>(members.size());
    const bool removed = std::erase_if(members, [s](const auto& m) { return m.session == s; }) != 0;
    if (members.empty()) groups.erase(g);
    return removed;
  }
  return false;
}

void Router::collect(std::uint32_t id, Match& out) {
  const Node& node = nodes_[id];
  const auto take = [&](const Entry& e) {
    ++collected_;
    const auto [it, fresh] = merge_.try_emplace(e.session, out.targets.size());
    if (fresh) {
      out.targets.push_back({e.session, e.options, {}});
    } else {  // overlapping filters of one session: one copy, the highest QoS (3.3.4-2 allows it)
      SubOptions& o = out.targets[it->second].options;
      const std::uint8_t qos = std::max(o.qos(), e.options.qos());
      const std::uint8_t both = o.raw & e.options.raw & 4;   // no local only if all say so
      const std::uint8_t any = (o.raw | e.options.raw) & 8;  // retain as published if any
      o.raw = static_cast<std::uint8_t>(qos | both | any);
    }
    if (e.id != 0) out.targets[it->second].ids.push_back(e.id);
  };
  if (node.first.session != nullptr) take(node.first);
  if (!node.more) return;
  for (const Entry& e : node.more->entries) take(e);
  for (const auto& g : node.more->groups) out.groups.push_back(g.get());
  collected_ += static_cast<std::uint32_t>(node.more->groups.size());
}

void Router::find_path(std::string_view topic) {
  path_.clear();
  protocol::mqtt::Levels levels(topic);
  std::string_view level;
  while (levels.next(level)) {
    const auto known = level_ids_.find(level);
    path_.push_back(known == level_ids_.end() ? 0 : *known);
  }
}

void Router::walk(std::uint32_t id, std::size_t depth, bool dollar, Match& out) {
  if (++visited_ > kNodesMax) return;
  if (nodes_[id].has_hash != 0 && !dollar) {
    collect(child_at(id, hash_), out);  // "a/#" matches "a" too (4.7.1.2)
  }
  if (depth == path_.size()) {
    collect(id, out);
    return;
  }
  const std::uint32_t exact = path_[depth] == 0 ? 0 : child_at(id, path_[depth]);
  if (exact != 0) walk(exact, depth + 1, false, out);
  if (const std::uint32_t plus = nodes_[id].plus; plus != 0 && !dollar) {
    walk(plus, depth + 1, false, out);
  }
}

const Match& Router::match(std::string_view topic) {
  visited_ = collected_ = 0;
  const auto it = cache_.find(topic);
  if (it != cache_.end()) return *it->second;
  auto fresh = std::make_unique<Match>();
  merge_.clear();
  find_path(topic);
  walk(0, 0, !topic.empty() && topic.front() == '$', *fresh);
  const std::size_t bytes = bytes_of(topic, *fresh);
  if (topic.size() > kCachedTopicMax || bytes > kCacheBytesMax)
    return *(uncached_ = std::move(fresh));
  if (cache_.size() >= cache_topics_max_ || cached_bytes_ + bytes > kCacheBytesMax) changed();
  cached_bytes_ += bytes;
  return *cache_.emplace(std::string(topic), std::move(fresh)).first->second;
}

}  // namespace berth::session
