#include "session/record_codec.h"

#include <utility>

#include "base/bytes.h"
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

std::string encode_slots(const Flow& q) {
  std::string o;
  base::put_varint(o, q.slots->newest.size());
  for (const Slot& s : q.slots->newest) {
    base::put_bytes(o, s.key);
    base::put_varint(o, s.seq);
    base::put_varint(o, s.bytes);
    o.push_back(static_cast<char>(s.qos));
  }
  base::put_varint(o, q.slots->gaps.size());
  for (const auto& [from, through] : q.slots->gaps) {
    base::put_varint(o, from);
    base::put_varint(o, through);
  }
  base::put_varint(o, q.last_seq);
  base::put_varint(o, q.queued);
  base::put_varint(o, q.queued_bytes);
  base::put_varint(o, q.cumulative_bytes);
  return o;
}

std::unique_ptr<Slots> decode_slots(std::string_view bytes) {
  base::RecordReader r(bytes);
  auto out = std::make_unique<Slots>();
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    Slot s;
    s.key = r.bytes();
    s.seq = r.varint();
    s.bytes = r.varint();
    s.qos = r.byte();
    out->newest.push_back(std::move(s));
  }
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    const std::uint64_t from = r.varint();
    out->gaps.emplace_back(from, r.varint());
  }
  out->last_seq = r.varint();
  out->queued = r.varint();
  out->queued_bytes = r.varint();
  out->cumulative_bytes = r.varint();
  return r.ok() ? std::move(out) : nullptr;
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
