#include "session/record_codec.h"

#include "session/records.pb.h"

namespace berth::session {

void will_to_pb(const Will& w, pb::Will& out) {
  const MessageView m = w.message->view();
  out.set_topic(m.topic.data(), m.topic.size());
  out.set_payload(m.payload.data(), m.payload.size());
  out.set_forwarded(m.forwarded.data(), m.forwarded.size());
  out.set_qos(m.qos);
  out.set_retain(m.retain);
  out.set_delay_s(w.delay_s);
  out.set_message_expiry_s(w.message_expiry_s);
}

std::unique_ptr<Will> will_from_pb(const pb::Will& in) {
  auto w = std::make_unique<Will>();
  w->message = MessagePtr(MessageView{.topic = in.topic(),
                                      .payload = in.payload(),
                                      .forwarded = in.forwarded(),
                                      .qos = static_cast<std::uint8_t>(in.qos()),
                                      .retain = in.retain()});
  w->delay_s = in.delay_s();
  w->message_expiry_s = in.message_expiry_s();
  return w;
}

void slots_to_pb(const Flow& q, pb::Slots& out) {
  for (const Slot& s : q.slots->newest) {
    auto& one = *out.add_newest();
    one.set_key(s.key);
    one.set_seq(s.seq);
    one.set_bytes(s.bytes);
    one.set_qos(s.qos);
  }
  for (const auto& [from, through] : q.slots->gaps) {
    out.add_gaps(from);
    out.add_gaps(through);
  }
  out.set_last_seq(q.last_seq);
  out.set_queued(q.queued);
  out.set_queued_bytes(q.queued_bytes);
  out.set_cumulative_bytes(q.cumulative_bytes);
}

std::unique_ptr<Slots> slots_from_pb(const pb::Slots& in) {
  auto out = std::make_unique<Slots>();
  for (const auto& s : in.newest())
    out->newest.push_back({s.key(), s.seq(), s.bytes(), static_cast<std::uint8_t>(s.qos())});
  for (int i = 0; i + 1 < in.gaps_size(); i += 2)
    out->gaps.emplace_back(in.gaps(i), in.gaps(i + 1));
  out->last_seq = in.last_seq();
  out->queued = in.queued();
  out->queued_bytes = in.queued_bytes();
  out->cumulative_bytes = in.cumulative_bytes();
  return out;
}

std::string encode_will(const Will& w) {
  pb::Will out;
  will_to_pb(w, out);
  return out.SerializeAsString();
}

std::string encode_alias_in(const Channel& ch) {
  pb::Aliases a;
  for (std::size_t i = 1; ch.alias_in && i < ch.alias_in->size(); ++i) {
    if ((*ch.alias_in)[i].empty()) continue;
    auto& e = *a.add_entries();
    e.set_alias(static_cast<std::uint32_t>(i));
    e.set_topic((*ch.alias_in)[i]);
  }
  return a.SerializeAsString();
}

std::string encode_alias_out(const Channel& ch) {
  pb::Aliases a;
  if (!ch.alias_out) return {};
  for (const auto& [topic, alias] : *ch.alias_out) {
    auto& e = *a.add_entries();
    e.set_alias(alias);
    e.set_topic(topic);
  }
  return a.SerializeAsString();
}

std::string encode_retained_cursor(const Channel& ch) {
  pb::RetainedCursor c;
  if (!ch.retained) return {};
  for (const RetainedItem& i : *ch.retained) {
    auto& out = *c.add_items();
    out.set_filter(i.filter);
    out.set_options(i.options.raw);
    out.set_id(i.id);
    out.set_after(i.after);
  }
  return c.SerializeAsString();
}

ScopePtr scope_from_pb(const pb::Scope& in) {
  return std::make_shared<const Scope>(
      Principal{in.tenant(), static_cast<Role>(in.role()), in.name()}, in.site(),
      std::vector<std::string>(in.allowed().begin(), in.allowed().end()),
      Translation{static_cast<Format>(in.format()), in.product()});
}

void scope_to_pb(const Scope& in, pb::Scope& out) {
  out.set_tenant(in.who().tenant);
  out.set_role(static_cast<std::uint32_t>(in.who().role));
  out.set_name(in.who().name);
  out.set_site(in.site());
  for (const std::string& a : in.allowed()) out.add_allowed(a);
  out.set_format(static_cast<std::uint32_t>(in.translation().format));
  out.set_product(in.translation().product);
}

std::unique_ptr<Will> decode_will(std::string_view bytes) {
  pb::Will in;
  return in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ? will_from_pb(in)
                                                                         : nullptr;
}

}  // namespace berth::session
