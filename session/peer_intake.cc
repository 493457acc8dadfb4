#include "session/peer_intake.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "session/meta_keys.h"

namespace berth::session {

void PeerIntake::begin_source(std::uint32_t source) {
  sources_[source] = Source{.pending = sources_[source].pending};
  route_book_.begin_source(source);
}

void PeerIntake::publish(std::uint32_t source, std::uint64_t seq, const PeerTag& tag,
                         const MessageView& m, base::Instant now, std::function<void()> done) {
  Source& from = sources_[source];
  Deferred out;
  out.kind = Deferred::Kind::call;
  out.call = [this, source, seq, done = std::move(done)](base::Instant) {
    sources_[source].durable = std::max(sources_[source].durable, seq);
    done();
  };
  if (seq != 0 && seq <= from.taken) {  // again, after its partition has moved
    ++probe_.peer_doubled;
    return commits_.submit(std::move(out), seq > from.durable, now);
  }
  if (from.skipped.contains(seq)) {  // taken, and nobody gets it
    ++probe_.peer_skipped;
    remember_taken(source, seq);
    return commits_.submit(std::move(out), true, now);
  }
  const WorksFor scope = works_for(protocol::link::ForwardedWork{source, seq}.packed());
  if (m.topic == kNoteTopic) {
    if (platform_ != nullptr) platform_->note(source, m.payload, now);
    remember_taken(source, seq);
    return commits_.submit(std::move(out), true, now);
  }
  if (seq != 0) effects_.forwarded_begins(m.topic);
  ++probe_.peer_received;
  retained_delivery_.see_stamp(tag.stamp);
  const Match& matched = distributor_.match(m.topic);
  auto shared_tag = std::make_shared<const PeerTag>(tag);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  d.message.qos = tag.qos;
  d.message.stamp = tag.stamp;
  d.tag = shared_tag.get();
  d.source = static_cast<std::uint8_t>(source + 1);
  if (seq == 0) return distributor_.deliver(matched, d, nullptr, now);
  out.kind = Deferred::Kind::publish;  // and then its call: also if it has to be stored once more
  out.call = [this, source, call = std::move(out.call)](base::Instant at) {
    --sources_[source].pending;
    call(at);
  };
  out.message = d.own();
  out.stamp = tag.stamp;
  out.tag = shared_tag;
  out.source = d.source;
  distributor_.stage(matched, d, out, true);
  if (m.retain && !retained_delivery_.store(d.message)) out.kept = true;  // a newer one is known
  ++from.pending;
  remember_taken(source, seq);
  commits_.submit(std::move(out), true, now);
}

void PeerIntake::skip(protocol::link::ForwardedWork w) {
  if (w.seq == 0) return;  // QoS 0: it does not come again
  if (w.source == protocol::link::ForwardedWork::kWillSource) wills_.skip(w.seq);
  if (w.source == protocol::link::ForwardedWork::kEstateSource) estates_.skip(w.seq);
  if (w.source < sources_.size()) sources_[w.source].skipped.insert(w.seq);
}

void PeerIntake::remember_taken(std::uint32_t source, std::uint64_t seq) {
  sources_[source].taken = seq;
  std::string value;
  base::put_varint(value, seq);
  const std::string key = seen_key(source);
  commits_.write({.kind = WriteKind::put_applied, .key = key, .value = value});
}

}  // namespace berth::session
