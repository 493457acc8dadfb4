#include "session/replay_log.h"

#include <algorithm>
#include <memory>

#include "base/bytes.h"

namespace berth::session {

std::string ReplayLog::key_of(const Channel& ch, std::uint64_t offset) const {
  return outcome_key({connections_.edge_of(ch.conn), ch.conn.local().packed()}, offset);
}

void ReplayLog::record(Channel& ch, std::string_view outcome, std::uint64_t offset) {
  if (!options_.replay) return;
  if (!ch.applied) ch.applied = std::make_unique<AppliedList>();
  AppliedList& list = *ch.applied;
  while (!list.empty() && list.front().first <= ch.edge_in_ack) {  // can't be replayed any more
    const std::string key = key_of(ch, list.front().first);
    commits_.write({.kind = WriteKind::remove_applied, .key = key});
    list.erase(list.begin());
  }
  const std::string key = key_of(ch, offset);
  commits_.write({.kind = WriteKind::put_applied, .key = key, .value = outcome});
  std::erase_if(list, [&](const auto& known) { return known.first == offset; });
  list.emplace_back(offset, std::string(outcome));
}

// The outcome of a QoS 2 PUBLISH := 'p' session:varint*, the expiry-0 sessions it was stored for.
void ReplayLog::record_spilled(Channel& ch, const Deferred& d) {
  std::string outcome = "p";
  for (const base::SessionId id : d.spilled) base::put_varint(outcome, id.value);
  record(ch, outcome, d.in_off);
}

const std::string* ReplayLog::outcome_of(const Channel& ch) const {
  if (ch.in_off > ch.replay_end || !ch.applied) return nullptr;
  for (const auto& [offset, outcome] : *ch.applied) {
    if (offset != ch.in_off) continue;
    ++probe_.applied_replays;
    return &outcome;
  }
  return nullptr;
}

// For which expiry-0 sessions a dead engine has stored this QoS 2 message.
std::vector<base::SessionId> ReplayLog::spilled_before(const Channel& ch) const {
  std::vector<base::SessionId> ids;
  const std::string* outcome = outcome_of(ch);
  if (outcome == nullptr || outcome->empty()) return ids;
  base::RecordReader r(std::string_view(*outcome).substr(1));
  while (!r.done() && r.ok()) ids.push_back({r.varint()});
  return ids;
}

// Where a dead engine has come to with this QoS 2 message; the outcome := 'g' (route + 1):varint,
// 0: at the beginning | 'f' session:varint, all groups have it | 'F', it had come to the end.
std::optional<Fanout::Through> ReplayLog::fanned_out_through(const Channel& ch) const {
  const std::string* outcome = outcome_of(ch);
  if (outcome == nullptr || outcome->empty()) return std::nullopt;
  const char kind = outcome->front();
  if (kind == 'F') return Fanout::Through{.session = UINT64_MAX, .route = UINT32_MAX};
  if (kind != 'f' && kind != 'g') return std::nullopt;
  const std::uint64_t at = base::RecordReader(std::string_view(*outcome).substr(1)).varint();
  if (kind == 'f') return Fanout::Through{.session = at, .route = UINT32_MAX};
  return Fanout::Through{.session = 0, .route = static_cast<std::int64_t>(at) - 1};
}

std::string ReplayLog::fanned_out_groups(std::int64_t through) {
  std::string outcome = "g";
  base::put_varint(outcome, static_cast<std::uint64_t>(through + 1));
  return outcome;
}

void ReplayLog::remove_orphans_of(std::uint64_t edge_id) {
  for (auto it = orphan_applied_.begin(); it != orphan_applied_.end();) {
    if (it->first.first != edge_id) {
      ++it;
      continue;
    }
    remove_applied(it->first, it->second);
    orphan_applied_.erase(it++);
  }
}

void ReplayLog::remove_applied(const EdgeConn& conn, const AppliedList& list) {
  for (const auto& [offset, outcome] : list) {
    const std::string key = outcome_key(conn, offset);
    commits_.write({.kind = WriteKind::remove_applied, .key = key});
  }
}

}  // namespace berth::session
