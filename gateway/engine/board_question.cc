#include "gateway/engine/board_question.h"

#include <algorithm>

#include "base/random_id.h"
#include "gateway/registry/records.h"

namespace berth::gateway::engine {

namespace pb = platform::pb;
using platform::Board;
using registry::key_of;
using registry::Kind;

namespace {

// Of this process: another engine counts otherwise.
std::uint64_t this_engine() {
  static const std::uint64_t id = base::random_id() | 1;
  return id;
}

bool wants(const pb::BoardQuestion& q, std::string_view tenant, std::string_view site) {
  if (!q.tenant().empty() && q.tenant() != tenant) return false;
  return q.sites().empty() ||
         std::find(q.sites().begin(), q.sites().end(), site) != q.sites().end();
}

class Answer {
 public:
  Answer(const platform::DeviceWatch& devices, const registry::Registry& registry,
         const pb::BoardQuestion& q)
      : devices_(devices), registry_(registry), q_(q) {
    out_.set_of(this_engine());
    out_.set_version(devices.board().version());
  }
  void whole() {
    out_.set_whole(true);
    const std::string prefix =
        q_.tenant().empty() ? std::string("s/") : key_of(Kind::site, q_.tenant());
    const std::string after = q_.after().empty() ? std::string() : q_.after().substr(prefix.size());
    std::size_t bytes = 0;
    registry_.each(prefix, after, [&](const std::string& key, const std::string& value) {
      const registry::Key k = registry::parse_key(key);
      if (!wants(q_, k.tenant, k.name)) return true;
      bytes += add(k.tenant, k.name, value);
      if (bytes < Board::kAnswerBytes) return true;
      out_.set_more_after(key);
      return false;
    });
  }
  void changed() {
    std::size_t bytes = 0;
    for (const Board::Site* s : devices_.board().changed(q_.since())) {
      const std::string* const value = registry_.find(key_of(Kind::site, s->tenant, s->site));
      if (value == nullptr || !wants(q_, s->tenant, s->site)) continue;
      bytes += add(s->tenant, s->site, *value);
      if (bytes < Board::kAnswerBytes) continue;
      out_.set_version(s->version);  // the others with the next question
      return;
    }
  }
  void twin() {
    if (const pb::TwinRecord* t = devices_.board().twin(q_.tenant(), q_.device()))
      *out_.mutable_twin() = *t;
  }
  std::string text() const { return out_.SerializeAsString(); }

 private:
  std::size_t add(std::string_view tenant, std::string_view site, const std::string& value) {
    pb::BoardAnswer::Site& s = *out_.add_sites();
    if (const Board::Site* known = devices_.board().find(tenant, site)) Board::fill(*known, s);
    s.set_tenant(std::string(tenant));
    s.set_site(std::string(site));
    s.set_registered(registry_.devices_at(tenant, site));
    registry::pb::Site record;
    if (record.ParseFromString(value)) {
      s.set_display_name(record.display_name());
      s.set_time_zone(record.time_zone());
    }
    for (pb::BoardAnswer::Lane& lane : *s.mutable_lanes()) {
      lane.set_online(devices_.is_here(tenant, lane.device()));
      registry::pb::Device d;
      const std::string* const r = registry_.find(key_of(Kind::device, tenant, lane.device()));
      if (r != nullptr && d.ParseFromString(*r)) lane.set_display_name(d.display_name());
    }
    return s.ByteSizeLong();
  }
  const platform::DeviceWatch& devices_;
  const registry::Registry& registry_;
  const pb::BoardQuestion& q_;
  pb::BoardAnswer out_;
};

}  // namespace

std::string answer_board(const platform::DeviceWatch& devices, const registry::Registry& registry,
                         std::string_view question) {
  pb::BoardQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  Answer a(devices, registry, q);
  if (!q.device().empty()) {
    a.twin();
  } else if (q.of() != this_engine() || devices.board().is_whole(q.since()) || !q.after().empty()) {
    a.whole();
  } else {
    a.changed();
  }
  return a.text();
}

}  // namespace berth::gateway::engine
